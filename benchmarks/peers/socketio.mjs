// Socket.IO on Node: one process, its own rooms and its in-memory adapter.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, serveClient: false });

io.on('connection', (socket) => {
  socket.on('bench.echo', (data, acknowledge) => {
    if (typeof data?.text !== 'string') acknowledge({ error: 'text is needed' });
    else acknowledge({ length: data.text.length });
  });
  socket.on('bench.join', async (data, acknowledge) => {
    await socket.join('crowd');
    acknowledge(null);
  });
  socket.on('bench.publish', (data, acknowledge) => {
    io.to('crowd').emit('bench.event', { text: 'x'.repeat(64) });
    acknowledge(null);
  });
});

http.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  console.log(JSON.stringify({ listening: http.address().port }));
});
