// Keeps the page as the balancer would render it now.
//
// It renders nothing itself: when the balancer says that something has changed, and every few
// seconds for the ages, it asks for the same page again and puts in what differs. Focus, what is
// being typed and what was opened stay.
"use strict";

(() => {
  const EVERY = 5000; // ms: without events the page is this old at most
  const AT_MOST = 1000; // ms: and is asked for no more often than that
  const AGAIN = 30000; // ms: and asks for events again where they were refused
  const OLD = 15000; // ms: after this it says that it is old

  const live = document.getElementById("live");
  let events = null;
  let wanted = 0; // the timer of the next look
  let asking = false;
  let asked = 0; // when it was asked for last
  let shown = Date.now(); // of when is what stands there
  let failed = false; // whether it could not be had last
  let listened = 0; // when events were asked for last
  let stopping = false;

  const key = (node) => node.nodeType === Node.ELEMENT_NODE ? node.dataset.key ?? node.id : "";

  const alike = (one, other) =>
    one.nodeType === other.nodeType && one.nodeName === other.nodeName && key(one) === key(other);

  // Makes `old` what `now` is, touching only what differs.
  function become(old, now) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== now.data) old.data = now.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const keyed = new Map();
    for (const child of old.children) if (key(child)) keyed.set(key(child), child);
    let at = old.firstChild;
    for (const child of [...now.childNodes]) {
      const known = key(child) ? keyed.get(key(child)) : at;
      if (!known || !alike(known, child)) {
        old.insertBefore(document.adoptNode(child), at);
        continue;
      }
      if (known === at) at = at.nextSibling;
      else old.insertBefore(known, at);
      become(known, child);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function say(text, lost) {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("lost", lost);
    document.documentElement.classList.toggle("old", lost);
  }

  function tell() {
    live.hidden = false;
    if (failed && Date.now() - shown > OLD) {
      const time = new Date(shown).toLocaleTimeString();
      say(`The balancer does not answer: this is of ${time}`, true);
    } else if (stopping) say("The balancer is stopping", false);
    else if (events?.readyState === EventSource.OPEN) say("Live", false);
    else say("Every 5 s", false);
  }

  function soon(wait) {
    clearTimeout(wanted);
    wanted = setTimeout(look, wait);
  }

  async function look() {
    if (asking || document.hidden) return;
    asking = true;
    asked = Date.now();
    const address = location.href;
    try {
      const signal = AbortSignal.timeout(10000);
      const answer = await fetch(address, { cache: "no-store", signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const text = await answer.text();
      const now = new DOMParser().parseFromString(text, "text/html");
      if (now.documentElement.dataset.version !== document.documentElement.dataset.version) {
        location.reload();
        return;
      }
      // Somebody may have asked for something else meanwhile.
      if (address === location.href) {
        for (const id of ["main", "foot"]) {
          become(document.getElementById(id), now.getElementById(id));
        }
        if (document.title !== now.title) document.title = now.title;
        shown = Date.now();
      }
      failed = false;
      // One that was refused does not come back by itself.
      if (events?.readyState === EventSource.CLOSED && Date.now() - listened > AGAIN) listen();
    } catch {
      // It is tried again, and the page says how old it is.
      failed = true;
    } finally {
      asking = false;
    }
    tell();
    soon(EVERY);
  }

  function changed() {
    soon(Math.max(0, asked + AT_MOST - Date.now()));
  }

  function listen() {
    events?.close();
    listened = Date.now();
    events = new EventSource("api/v1/events");
    stopping = false;
    for (const name of ["state", "change"]) events.addEventListener(name, changed);
    events.addEventListener("end", () => { stopping = true; tell(); });
    events.onopen = tell;
    events.onerror = tell;
  }

  // What is typed or ticked is looked for at once, without a new page.
  const form = document.getElementById("search");
  function search() {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) query.append(name, value);
    const text = query.toString();
    history.replaceState(null, "", text ? `?${text}` : location.pathname);
    soon(200);
  }
  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => { event.preventDefault(); search(); });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      events?.close();
      clearTimeout(wanted);
    } else {
      listen();
      look();
    }
  });

  listen();
  soon(EVERY);
  setInterval(tell, 1000);
})();
