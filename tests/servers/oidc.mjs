// An OpenID provider on a free port of loopback. Commands come as lines of JSON on standard input, and each is answered
// with a line: {"do": "rotate"} new keys and no old ones, "down", "up", "count" fetches of the keys.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.MODULES}/`);
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

let handle;
let down = false;
let fetches = 0;

const server = createServer((request, response) => {
  if (down) return request.socket.destroy();
  if (request.url === '/jwks') fetches += 1;
  return handle(request, response);
});

function start() {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    jwks: { keys: [{ ...key, kid: randomUUID(), use: 'sig', alg: 'ES256' }] },
    clients: ['una', 'bob'].map((id) => ({
      client_id: id, client_secret: 'secret', id_token_signed_response_alg: 'ES256', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:linkd',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '', audience: 'linkd', accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: () => ({ roles: ['member'] }),
  });
  handle = provider.callback();
}

const commands = {
  rotate: () => start(),
  down: () => { down = true; },
  up: () => { down = false; },
  count: () => fetches,
};

server.listen(0, '127.0.0.1', () => {
  start();
  console.log(JSON.stringify({ port: server.address().port }));
  createInterface({ input: process.stdin }).on('line', (line) => {
    const result = commands[JSON.parse(line).do]();
    console.log(JSON.stringify({ result: result ?? null }));
  });
});
