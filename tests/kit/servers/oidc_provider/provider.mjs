// An OpenID provider on loopback whose pages take any name with any password.
//
// Arguments: the folder of npm's modules, and a JSON file:
//   port, jwks, clients         where it listens, its private keys, and who may ask it
//   claims                      of each account by its name; others have none but `sub`
//   audience, scopes            of access tokens, which are JWTs then; without: opaque ones
//   lifetimes                   seconds, by the kind of token
//   clock_offset                seconds by which its clock is ahead
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, file] = process.argv.slice(2);
const options = JSON.parse(readFileSync(file, 'utf8'));

const now = Date.now;
Date.now = () => now() + options.clock_offset * 1000;

const { Provider } = await import(pathToFileURL(join(modules, 'oidc-provider/lib/index.js')));

const claimsOf = (account) => options.claims[account] ?? {};
const names = new Set(Object.values(options.claims).flatMap(Object.keys));

const jwts = {
  enabled: true,
  defaultResource: () => options.audience,
  useGrantedResource: () => true,
  getResourceServerInfo: (context, resource) => ({
    audience: resource,
    scope: options.scopes.join(' '),
    accessTokenFormat: 'jwt',
    accessTokenTTL: options.lifetimes.AccessToken,
    jwt: { sign: { alg: options.jwks.keys[0].alg } },
  }),
};

const provider = new Provider(`http://127.0.0.1:${options.port}`, {
  clients: options.clients,
  jwks: options.jwks,
  cookies: { keys: ['of the tests'] },
  claims: { openid: ['sub', ...names] },
  conformIdTokenClaims: false,
  enabledJWA: { idTokenSigningAlgValues: options.jwks.keys.map((key) => key.alg) },
  clientDefaults: { id_token_signed_response_alg: options.jwks.keys[0].alg },
  features: {
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: options.audience ? jwts : { enabled: false },
  },
  scopes: ['openid', 'offline_access', ...options.scopes],
  findAccount: (context, name) => ({
    accountId: name,
    claims: () => ({ sub: name, ...claimsOf(name) }),
  }),
  extraTokenClaims: (context, token) => claimsOf(token.accountId),
  ttl: options.lifetimes,
});
provider.listen(options.port, '127.0.0.1');
