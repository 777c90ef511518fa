// The conversation of clients.py, in what a browser and Node's library ws have in common.
"use strict";

// Sends every text, hears as many, closes with 1000; resolves to a Talk of clients.py.
function talk(socket, texts) {
  const heard = [];
  let extensions = "";
  return new Promise((resolve) => {
    socket.onopen = () => {
      extensions = socket.extensions;
      texts.forEach((text) => socket.send(text));
    };
    socket.onmessage = (event) => {
      heard.push(event.data);
      if (heard.length === texts.length) socket.close(1000);
    };
    socket.onclose = (event) => resolve({ heard, code: event.code, extensions });
  });
}

// Node: reads {url, texts, offering} from its input, and writes the Talk.
function main(WebSocket) {
  const { url, texts, offering } = JSON.parse(require("fs").readFileSync(0));
  const socket = new WebSocket(url, { perMessageDeflate: offering && { threshold: 0 } });
  talk(socket, texts).then((said) => process.stdout.write(JSON.stringify(said)));
}
