"use strict";
// Who has signed in stands at the top of the page; what it sends in a session has the token.
const slipway = (() => {
  const address = new URL("../auth/session", document.currentScript.src);
  let session = null;

  const load = async () => {
    const answer = await fetch(address, { cache: "no-store" });
    session = answer.ok ? await answer.json() : null;
  };

  const element = (kind, text, parent) => {
    const made = document.createElement(kind);
    made.textContent = text;
    parent.append(made);
    return made;
  };

  const signOut = async () => {
    await load(); // another page may have signed in meanwhile
    const headers = session?.csrf_token ? { "X-CSRF-Token": session.csrf_token } : {};
    const answer = await fetch(address, { method: "DELETE", headers });
    const told = answer.ok ? await answer.json() : {};
    location.assign(told.sign_out_url ?? location.pathname);
  };

  const show = () => {
    const place = document.getElementById("session");
    place.replaceChildren();
    if (session?.username) {
      element("span", `Signed in as ${session.username}. `, place);
      element("button", "Sign out", place).addEventListener("click", signOut);
    } else if (session?.sign_in_url) {
      const link = element("a", "Sign in", place);
      link.href = `${session.sign_in_url}?next=${encodeURIComponent(location.pathname)}`;
    }
  };

  document.addEventListener("DOMContentLoaded", () => load().then(show));

  return {
    withToken: (request) => {
      if (session?.csrf_token && new URL(request.url, location.href).origin === location.origin) {
        request.headers["X-CSRF-Token"] = session.csrf_token;
      }
      return request;
    },
  };
})();
