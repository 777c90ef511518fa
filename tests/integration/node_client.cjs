// Connects with the library ws and tells, one JSON object a line, what happens. Its lines of input are commands:
// {"send": text}, {"ping": text}, {"fragments": [text, ...]}, {"close": [code, reason]}.
"use strict";

const WebSocket = require("ws");
const [url, protocols, headers] = process.argv.slice(2);
const socket = new WebSocket(url, JSON.parse(protocols), { headers: JSON.parse(headers) });
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");

socket.on("open", () => tell({ open: socket.protocol }));
socket.on("message", (data, binary) => tell(binary ? { binary: data.toString("base64") } : { text: data.toString() }));
socket.on("pong", (data) => tell({ pong: data.toString() }));
socket.on("unexpected-response", (_, response) => {
  tell({ status: response.statusCode });
  process.exit(0);
});
socket.on("error", (error) => tell({ error: error.message }));
socket.on("close", (code, reason) => {
  tell({ close: [code, reason.toString()] });
  process.exit(0);
});

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    if (command.send !== undefined) socket.send(command.send);
    if (command.binary !== undefined) socket.send(Buffer.from(command.binary, "base64"));
    if (command.ping !== undefined) socket.ping(command.ping);
    if (command.fragments !== undefined) {
      command.fragments.forEach((part, index) => socket.send(part, { fin: index === command.fragments.length - 1 }));
    }
    if (command.close !== undefined) socket.close(...command.close);
  });
