// The library ws of Node: one process, a set of the open WebSockets as the room.
import { WebSocketServer } from 'ws';

const room = new Set();

const handlers = {
  'bench.echo': (socket, data) => {
    if (typeof data?.text !== 'string') throw new TypeError('text is needed');
    return { length: data.text.length };
  },
  'bench.join': (socket) => {
    room.add(socket);
    return null;
  },
  'bench.publish': () => {
    const event = JSON.stringify({ type: 'bench.event', data: { text: 'x'.repeat(64) } });
    for (const member of room) member.send(event);
    return null;
  },
};

function answer(socket, text) {
  let id;
  try {
    const request = JSON.parse(text);
    if (!Number.isInteger(request.id) || !Object.hasOwn(handlers, request.type)) throw new TypeError('not understood');
    id = request.id;
    return { type: 'response', id, data: handlers[request.type](socket, request.data) };
  } catch (error) {
    return { type: 'error', id, data: error.message };
  }
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 4096, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (text) => socket.send(JSON.stringify(answer(socket, text))));
  socket.on('close', () => room.delete(socket));
});
server.on('listening', () => console.log(JSON.stringify({ listening: server.address().port })));
