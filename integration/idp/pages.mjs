// The pages that a person sees at the identity provider. They load nothing and run no script.

const escapes = {
  '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;',
};

function text(value) {
  return String(value).replace(/[&<>"']/g, (char) => escapes[char]);
}

function page(id, title, body) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${text(title)}</title>
<style>
  body { font: 16px/1.5 sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem; background: #f4f1ea; color: #222 }
  main { background: #fff; border: 1px solid #d8d2c4; border-radius: 8px; padding: 1.5rem }
  h1 { font-size: 1.25rem; margin-top: 0 }
  input, button { font: inherit; padding: .4rem .8rem }
</style>
<main id="${id}">
<h1>${text(title)}</h1>
${body}
</main>
</html>`;
}

export function loginPage({ uid, params }) {
  return page('idp-login', 'Who are you?', `
<p>${text(params.client_id)} wants to know. Any name of letters will do.</p>
<form method="post" action="/interaction/${text(uid)}">
  <p><label>Name <input name="name" id="name" value="${text(params.login_hint ?? '')}" autocomplete="off"></label></p>
  <button id="sign-in" name="answer" value="sign-in">Sign in</button>
  <button id="deny" name="answer" value="deny">Deny</button>
</form>`);
}

export function consentPage({ uid, params, session }) {
  const scopes = String(params.scope ?? '').split(' ').filter(Boolean);
  return page('idp-consent', 'Is that all right?', `
<p>You are <b>${text(session.accountId)}</b>. ${text(params.client_id)} asks for:</p>
<ul>${scopes.map((scope) => `<li>${text(scope)}</li>`).join('')}</ul>
<form method="post" action="/interaction/${text(uid)}">
  <button id="allow" name="answer" value="allow">Allow</button>
  <button id="deny" name="answer" value="deny">Deny</button>
</form>`);
}

// form is the one that oidc-provider made, with id "op.logoutForm".
export function logoutPage(form) {
  return page('idp-logout', 'Sign out here, too?', `
${form}
<button id="sign-out" form="op.logoutForm" name="logout" value="yes">Sign out</button>
<button id="stay" form="op.logoutForm">Stay</button>`);
}

export function messagePage(title, message) {
  return page('idp-message', title, `<p>${text(message)}</p>`);
}
