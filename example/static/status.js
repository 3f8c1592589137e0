// Keeps the pages of one browser in step. Signing in happens in another tab: this one asks the server
// who is signed in, and then shows it, without touching what has been filled in.
//
// It asks GET /auth/status, authenticated by this browser's own cookie, and believes nothing else. A
// ping of another tab carries no data: it only says that now is a good moment to ask. Without this
// script a reload, or the button in <noscript>, does the same.
(() => {
  "use strict";

  const first = 1000, most = 15000, patience = 15 * 60 * 1000; // milliseconds
  const who = document.getElementById("who");
  const notice = document.getElementById("notice");
  const form = document.getElementById("library");
  const sharing = document.getElementById("share");

  // still says that nothing is lost, over a form that has something to lose.
  const still = () => [...(form ?? sharing)?.elements ?? []].some((e) =>
    e.type === "checkbox" || e.type === "radio" ? e.checked : /^(text|textarea)$/.test(e.type) && e.value.trim() !== "")
    ? " What you have filled in is still here." : "";

  let shown = who.dataset.user; // account that this page was made for; "" is nobody
  let restored = false;         // by the back button, and not yet known whether its person is still here
  let waiting = 0;              // until when an answer of the provider is expected
  let since = 0;                // when the person left for it
  let delay = first, timer = 0, asking = false, again = false;

  const later = () => {
    clearTimeout(timer);
    if (document.visibilityState !== "visible" || Date.now() > waiting) return;
    timer = setTimeout(ask, delay);
    delay = Math.min(delay * 1.5, most);
  };

  async function ask() {
    if (asking) { again = true; return; }
    asking = true;
    again = false;
    try {
      const answer = await fetch("/auth/status", { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.ok) await compare(await answer.json());
    } catch {
      // Offline, or the server is being restarted: ask again later.
    } finally {
      asking = false;
    }
    if (again) return ask();
    if (restored) return location.reload(); // nobody could say whether this is still theirs to see
    later();
  }

  async function compare(status) {
    const user = status.signed_in ? status.user.id : "";
    if (restored && user === shown) show();
    if (restored) return;
    if (user !== shown) return change(user, status);
    if (sharing && allowed(status)) return replace("/share/permission", ["permission"], "Sharing is allowed now.");
    if (!waiting) return;
    const ended = (status.sign_ins || []).some((s) => Date.parse(s.at) >= since && s.result !== "signed_in");
    if (ended && !user) {
      waiting = 0;
      say("The sign-in did not go through." + still());
    }
  }

  // allowed reports whether another tab has been given the permission for which this page still has a button.
  function allowed(status) {
    const { provider, scope } = document.getElementById("permission")?.dataset ?? {};
    return scope && status.connections.some((c) => c.provider === provider && !c.label && !c.ended && c.scopes.includes(scope));
  }

  // change shows the other person. The form page gets what names them from the server, the page tag
  // included: what is sent from now on is sent as the person that is shown here.
  async function change(user, status) {
    const news = user && shown ? "Your account changed in another tab."
      : user ? `You are connected as ${status.user.name || "yourself"}.`
      : "You were signed out in another tab.";
    if (form) return replace("/library/account", ["who", "account"], news);
    shown = user;
    // What is half filled in is not reloaded away. Sent, it is looked at anew by the server.
    if (sharing) say(news + still());
    else say(news, "Reload this page");
  }

  // replace puts parts of the page in the place of those that it has, and leaves the rest as it is.
  async function replace(url, ids, news) {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const within = document.activeElement && document.activeElement.closest("#account, #permission, #who");
    for (const id of ids) document.getElementById(id).replaceWith(fresh.getElementById(id));
    shown = document.getElementById("who").dataset.user;
    waiting = 0;
    if (within) document.querySelector("#account button, #permission button").focus({ preventScroll: true });
    say(news + still());
  }

  function say(text, reload) {
    notice.textContent = text;
    if (!reload) return;
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = reload;
    notice.append(" ", link);
  }

  if (form) form.addEventListener("submit", (e) => {
    if (!e.submitter || e.submitter.formTarget !== "_blank") return;
    e.submitter.formAction = "/connect?waiting=" + address();
    since = Date.now() - 5000; // clocks differ a little
    waiting = Date.now() + patience;
    delay = first;
    notice.textContent = "";
    later();
  });

  // address gives this tab one of its own, under which the server keeps what is filled in now: a reload finds it.
  function address() {
    const here = new URL(location.href);
    if (!here.searchParams.has("waiting")) {
      const random = crypto.getRandomValues(new Uint8Array(12));
      here.searchParams.set("waiting", btoa(String.fromCharCode(...random)).replaceAll("+", "-").replaceAll("/", "_"));
      history.replaceState(history.state, "", here);
    }
    return encodeURIComponent(here.searchParams.get("waiting"));
  }

  const wake = () => {
    if (document.visibilityState !== "visible") return;
    delay = first;
    ask();
  };
  document.addEventListener("visibilitychange", wake);

  // A page that opens tells the others: perhaps it is the one that came back. They ask even if they are
  // not visible, so that they are ready when somebody looks.
  let channel = null;
  function listen() {
    if (!("BroadcastChannel" in window)) return;
    channel = new BroadcastChannel("lantern");
    channel.onmessage = () => { delay = first; ask(); };
  }
  listen();
  channel?.postMessage(null);

  // The back button may bring this page back as it was, half-filled form and all; a ping meanwhile
  // would make the browser throw it away. Its person may have signed out since: it stays hidden until
  // the server has said who is here.
  window.addEventListener("pagehide", () => channel?.close());
  window.addEventListener("pageshow", (e) => {
    if (!e.persisted) return;
    listen();
    restored = shown !== "";
    if (restored) document.body.style.visibility = "hidden";
    wake();
  });
  function show() {
    restored = false;
    document.body.style.visibility = "";
  }
})();
