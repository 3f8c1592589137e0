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
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("lantern") : null;

  let shown = who.dataset.user; // account that this page was made for; "" is nobody
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
    if (again) ask(); else later();
  }

  async function compare(status) {
    const user = status.signed_in ? status.user.id : "";
    if (user !== shown) return change(user, status);
    if (!waiting) return;
    const ended = (status.sign_ins || []).some((s) => Date.parse(s.at) >= since && s.result !== "signed_in");
    if (ended && !user) {
      waiting = 0;
      say("The sign-in did not go through. What you have filled in is still here.");
    }
  }

  // change shows the other person. The form page gets what names them from the server, the page tag
  // included: what is sent from now on is sent as the person that is shown here.
  async function change(user, status) {
    const news = user && shown ? "Your account changed in another tab."
      : user ? `You are connected as ${status.user.name || "yourself"}.`
      : "You were signed out in another tab.";
    if (!form) {
      shown = user;
      // What is half filled in is not reloaded away. Sent, it is looked at anew by the server.
      if (document.getElementById("share")) say(news + " What you have filled in is still here.");
      else say(news, "Reload this page");
      return;
    }
    const answer = await fetch("/library/account", { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const within = document.activeElement && document.activeElement.closest("#account, #who");
    shown = fresh.getElementById("who").dataset.user;
    waiting = 0;
    for (const id of ["who", "account"]) document.getElementById(id).replaceWith(fresh.getElementById(id));
    if (within) document.querySelector("#account button").focus({ preventScroll: true });
    say(news + " What you have filled in is still here.");
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
    since = Date.now() - 5000; // clocks differ a little
    waiting = Date.now() + patience;
    delay = first;
    notice.textContent = "";
    later();
  });

  const wake = () => {
    if (document.visibilityState !== "visible") return;
    delay = first;
    ask();
  };
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("pageshow", (e) => { if (e.persisted) wake(); });

  // A page that opens tells the others: perhaps it is the one that came back. They ask even if they are
  // not visible, so that they are ready when somebody looks.
  if (channel) {
    channel.onmessage = () => { delay = first; ask(); };
    channel.postMessage(null);
  }
})();
