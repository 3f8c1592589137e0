// The identity provider of the browser tests: oidc-provider with clients of its own, pages that a
// person must click, and a ledger of what the relying party really sent.
//
//   node server.mjs '{"port":0,"redirects":["http://127.0.0.1:8080/auth/oidc/callback"]}'
//
// It prints one line of JSON when it is ready, and ends when its standard input does. The provider
// says "localhost" and the app "127.0.0.1": two hosts, because ports do not make a site.

import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

import { consentPage, loginPage, logoutPage, messagePage } from './pages.mjs';

const settings = {
  port: 0,
  redirects: [],
  logoutRedirects: [],
  accessTokenSeconds: 3600,
  refreshedTokenSeconds: 3600,
  ...JSON.parse(process.argv[2] ?? '{}'),
};

// RFC 6749, section 2.3.1: both halves of Basic credentials are form-encoded first. A client that
// forgets it is refused, because of these characters.
const oddSecret = 'a b:c%d+e/f~g';

const common = {
  redirect_uris: settings.redirects,
  post_logout_redirect_uris: settings.logoutRedirects,
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
};
const clients = [
  { client_id: 'basic', client_secret: oddSecret, token_endpoint_auth_method: 'client_secret_basic' },
  { client_id: 'post', client_secret: oddSecret, token_endpoint_auth_method: 'client_secret_post' },
  { client_id: 'public', token_endpoint_auth_method: 'none' },
].map((client) => ({ ...common, ...client }));

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signingKey = { ...privateKey.export({ format: 'jwk' }), kid: 'practice', alg: 'RS256', use: 'sig' };

function claimsOf(id) {
  const name = id.charAt(0).toUpperCase() + id.slice(1);
  return {
    sub: id, name, preferred_username: id, email: `${id}@example.test`, email_verified: true,
  };
}

const configuration = {
  clients,
  jwks: { keys: [signingKey] },
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => { ctx.body = logoutPage(form); },
      postLogoutSuccessSource: (ctx) => { ctx.body = messagePage('Signed out', 'You are signed out.'); },
    },
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => claimsOf(id) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  renderError: (ctx, out) => {
    ctx.type = 'html';
    ctx.body = messagePage('Something is wrong', `${out.error}: ${out.error_description ?? ''}`);
  },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: (ctx) => (ctx.oidc.params?.grant_type === 'refresh_token'
      ? settings.refreshedTokenSeconds : settings.accessTokenSeconds),
    AuthorizationCode: 60,
    Grant: 86400,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 86400,
  },
};

// The ledger has one entry for each request that the provider understood: names of parameters, and
// those values that are no secret.
let ledger = [];

const shown = [
  'client_id', 'code_challenge_method', 'grant_type', 'max_age', 'prompt', 'redirect_uri',
  'response_mode', 'response_type', 'scope',
];

function authentication(ctx, parameters) {
  const [scheme] = ctx.get('authorization').split(' ');
  if (scheme) return scheme.toLowerCase();
  if ('client_secret' in parameters) return 'post';
  if ('client_assertion' in parameters) return 'assertion';
  return 'none';
}

async function record(ctx, next) {
  await next();
  const route = ctx.oidc?.route;
  if (!route) return;
  const parameters = { ...ctx.query, ...ctx.oidc.body };
  const values = Object.fromEntries(shown.filter((name) => name in parameters).map((name) => [name, parameters[name]]));
  ledger.push({
    route,
    method: ctx.method,
    status: ctx.status,
    authentication: authentication(ctx, parameters),
    parameters: Object.keys(parameters).sort(),
    values,
  });
}

async function form(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > 4096) throw new Error('form too large');
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

async function allow(provider, details) {
  const { grantId, params, prompt, session } = details;
  const grant = (grantId && await provider.Grant.find(grantId))
    || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  return { consent: { grantId: await grant.save() } };
}

async function decide(provider, details, answer) {
  if (answer.get('answer') === 'deny') {
    return { error: 'access_denied', error_description: 'The person said no.' };
  }
  if (details.prompt.name === 'consent') return allow(provider, details);
  const name = (answer.get('name') ?? '').trim().toLowerCase();
  if (!/^[a-z]{1,32}$/.test(name)) return undefined;
  return { login: { accountId: name } };
}

function interaction(provider) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    ctx.set('cache-control', 'no-store');
    ctx.set('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    const details = await provider.interactionDetails(ctx.req, ctx.res);
    const page = () => {
      ctx.type = 'html';
      ctx.body = details.prompt.name === 'consent' ? consentPage(details) : loginPage(details);
    };
    if (ctx.method !== 'POST') return page();
    const result = await decide(provider, details, await form(ctx.req));
    if (!result) return page();
    const to = await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
    ctx.status = 303;
    ctx.set('location', to);
    return undefined;
  };
}

// listen waits until server has a port on the loopback interface.
function listen(server, port) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server.address().port));
  });
}

// What the provider says that it did, by its own names.
let events = {};

function count(provider) {
  ['access_token.saved', 'refresh_token.consumed', 'grant.revoked', 'grant.error'].forEach((name) => {
    provider.on(name, () => { events[name] = (events[name] ?? 0) + 1; });
  });
}

const server = createServer();
const issuer = `http://localhost:${await listen(server, settings.port)}`;
const provider = new Provider(issuer, configuration);
count(provider);
provider.use(record);
provider.use(interaction(provider));
server.on('request', provider.callback());

// The control endpoint is for the tests only, on a port of its own: GET shows the ledger, and what the
// provider did at /events; DELETE forgets both.
const control = createServer((request, response) => {
  const body = JSON.stringify(request.url === '/events' ? events : ledger);
  if (request.method === 'DELETE') {
    ledger = [];
    events = {};
  }
  response.setHeader('content-type', 'application/json');
  response.end(body);
});
const controlPort = await listen(control, 0);

console.log(JSON.stringify({
  issuer,
  control: `http://127.0.0.1:${controlPort}`,
  clients: clients.map(({ client_id: id, client_secret: secret = '' }) => ({ id, secret })),
}));

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
