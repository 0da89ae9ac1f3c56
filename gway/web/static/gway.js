/* GWAY in the browser: elements that renew themselves, forms that stay on the page, local times.
 *
 * gw-render="name"      the element shows the fragment /render/<project>/name ("/p/q/name": of another)
 * gw-refresh="seconds"  renew it that often; empty or 0: by events alone; without the attribute: never
 * gw-topic="a b"        renew it at once when an event of one of these topics arrives
 * gw-gap="seconds"      but at events no oftener than that; without it: five times a second
 * gw-params="a=1&b=2"   request values besides those of the page's own address
 * gw-on-load            fill the element as soon as it is there
 * gw-click="name"       a click puts that fragment into gw-target; empty: renews gw-target
 * gw-target="#id"       where an answer goes; default: the nearest element with gw-render
 * gw-form               send a form without leaving the page; gw-form="change": at each change, too
 * gw-form="input"       as "change", and a moment after typing, too
 * gw-link               follow a link of this page without leaving it (sorting, paging)
 * gw-confirm="Sure?"    ask first
 * gw-keep               leave this element alone while its surroundings are renewed (charts)
 * gw-time="ago|time|date"  how <time datetime> is shown; default: the time, with the date if not today
 * gw-utc                a datetime-local field whose value is UTC on the wire and local on the page
 *
 * A fragment may be a whole page: if it holds the element itself (its id and its gw-render), that part is shown.
 *
 * Events on the document: gw:event (detail: topic, data), gw:refreshed (target: the element).
 */
"use strict";
(() => {
  const TICK_MS = 250;
  const PROBE_MS = 2000;
  const PROBE_MOST_MS = 6000;
  const TYPING_MS = 300;
  const TIMEOUT_MS = 20000;
  const GAP_MS = 200;
  const SILENCE_MS = 10000;
  const FRESH_MS = 500;
  const LIVE = "[gw-render][gw-refresh]";

  const states = new WeakMap(); // element -> {due, busy, again, loaded, at}
  let stream = null;
  let streamTopics = "";
  let streamRetryAt = 0;
  let offlineSince = null;
  let signedOut = false;
  let typing = 0;
  let shownAt = location.pathname + location.search;
  let failures = 0;
  let probeAt = 0;
  let probing = false;
  let heardAt = Date.now(); // of the last word from the server

  const $ = (id) => document.getElementById(id);

  // --- addresses and requests ------------------------------------------------

  function renderUrl(element, name) {
    const base = element.closest("[gw-base]")?.getAttribute("gw-base") ?? "";
    const path = name.startsWith("/") ? name : `${base}/${name}`;
    const values = new URLSearchParams(location.search);
    new URLSearchParams(element.getAttribute("gw-params") ?? "").forEach((value, key) => {
      values.set(key, value);
    });
    const query = values.toString();
    return `/render${path}${query ? `?${query}` : ""}`;
  }

  function csrfMeta() {
    return document.querySelector('meta[name="gway-csrf"]');
  }

  async function ask(url, options = {}) {
    const headers = { "X-GWAY-Fragment": "1", ...(options.headers ?? {}) };
    if (options.method && options.method !== "GET") {
      headers["X-CSRF-Token"] = csrfMeta()?.content ?? "";
    }
    let response;
    try {
      response = await fetch(url, {
        credentials: "same-origin",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...options,
        headers,
      });
      const text = await response.text();
      heardAt = Date.now();
      setOnline();
      const login = response.status === 401 && response.headers.get("X-GWAY-Login");
      if (login) {
        setSignedOut(login);
        return null;
      }
      keepToken(response.headers.get("X-GWAY-CSRF"));
      return { response, text };
    } catch (error) {
      if (error instanceof TypeError || error.name === "TimeoutError" || error.name === "AbortError") {
        setOffline();
        return null;
      }
      throw error;
    }
  }

  // A server that was restarted has new tokens; every answer brings the one that holds now.
  function keepToken(token) {
    if (!token) return;
    csrfMeta()?.setAttribute("content", token);
    for (const field of document.querySelectorAll('input[type="hidden"][name="csrf"]')) {
      field.value = token;
      field.defaultValue = token;
    }
  }

  // --- morphing --------------------------------------------------------------

  /* What an answer has for an element: its nodes, and the element itself if the answer holds it. */
  function parse(html, target) {
    const template = document.createElement("template");
    template.innerHTML = html;
    localise(template.content);
    const name = target.getAttribute("gw-render");
    const only = template.content.children.length === 1 ? template.content.firstElementChild : null;
    const known = target.id ? template.content.getElementById(target.id) : null;
    const same = (name && [known, only].find((one) => one?.getAttribute("gw-render") === name)) || null;
    return { nodes: Array.from((same ?? template.content).childNodes), same };
  }

  function isControl(node) {
    return node instanceof HTMLElement && node.matches("input, textarea, select");
  }

  function isTouched(control) {
    if (control === document.activeElement) return true;
    if (control.type === "checkbox" || control.type === "radio") {
      return control.checked !== control.defaultChecked;
    }
    if (control instanceof HTMLSelectElement) {
      const first = control.multiple ? null : control.options[0];
      const chosen = Array.from(control.options).some((option) => option.defaultSelected);
      return Array.from(control.options).some(
        (option) => option.selected !== (chosen ? option.defaultSelected : option === first),
      );
    }
    return control.type !== "hidden" && control.value !== control.defaultValue;
  }

  function beforeNodeMorphed(before, after, whole) {
    if (!(before instanceof Element)) return true;
    if (before.hasAttribute("gw-keep")) return false;
    if (isControl(before) && isTouched(before)) return false;
    return !(after instanceof Element && isItsOwn(before, after, whole));
  }

  // A part that renews itself is left to that, unless the reader asked for the whole page anew.
  function isItsOwn(before, after, whole) {
    const loads = after.hasAttribute("gw-on-load");
    if (!after.hasAttribute("gw-render") || !(loads || after.hasAttribute("gw-refresh"))) return false;
    if (before.getAttribute("gw-render") !== after.getAttribute("gw-render")) return false;
    return loads || !whole || !before.hasAttribute("gw-refresh");
  }

  // What the reader opened stays open, and a gw-refresh that was taken away stays away.
  function beforeAttributeUpdated(name, node) {
    if (name === "gw-refresh") return false;
    return !(name === "open" && node.matches("details, dialog"));
  }

  /* Give an element what an answer has for it; `whole` ones were asked for by the reader. */
  function morph(target, html, whole = false) {
    const { nodes, same } = parse(html, target);
    Idiomorph.morph(target, nodes, {
      morphStyle: "innerHTML",
      ignoreActiveValue: true,
      callbacks: {
        beforeNodeMorphed: (before, after) => beforeNodeMorphed(before, after, whole),
        beforeAttributeUpdated,
        beforeNodeRemoved: (node) => !(node instanceof Element && node.hasAttribute("gw-keep")),
      },
    });
    if (same && !same.hasAttribute("gw-refresh")) target.removeAttribute("gw-refresh"); // there is no more to come
    target.dispatchEvent(new CustomEvent("gw:refreshed", { bubbles: true }));
  }

  // --- elements that renew themselves ------------------------------------------

  function stateOf(element) {
    let state = states.get(element);
    if (!state) {
      const seconds = interval(element);
      state = { due: seconds ? Date.now() + seconds * 1000 : 0, busy: false, again: false, loaded: false, at: 0 };
      states.set(element, state);
    }
    return state;
  }

  function secondsOf(element, attribute) {
    const given = parseFloat(element.getAttribute(attribute));
    return given > 0 ? given : 0;
  }

  function interval(element) {
    const given = secondsOf(element, "gw-refresh");
    return given ? Math.max(given, 0.25) : 0;
  }

  function renderOf(element) {
    return renderUrl(element, element.getAttribute("gw-render"));
  }

  /* Renew an element. `live` ones are dropped if gw-refresh was removed meanwhile. */
  async function refresh(element, live = false) {
    const state = stateOf(element);
    if (state.busy) {
      state.again = true;
      return;
    }
    state.busy = true;
    state.at = Date.now();
    try {
      const asked = renderOf(element);
      const got = await ask(asked);
      if (!got || !element.isConnected || (live && !element.hasAttribute("gw-refresh"))) return;
      if (asked !== renderOf(element)) {
        state.again = true; // the reader sorted or filtered meanwhile: this answers another question
        return;
      }
      element.removeAttribute("aria-busy");
      if (got.response.ok) {
        told(element)?.remove();
        element.removeAttribute("data-gw-error");
        morph(element, got.text);
      } else {
        failed(element, got);
      }
    } finally {
      state.busy = false;
      const seconds = interval(element);
      state.due = seconds ? Date.now() + seconds * 1000 : 0;
      if (state.again) {
        state.again = false;
        soon(element);
      }
    }
  }

  // What the element showed stays; above it stands why it is old, and a way to try again.
  function failed(element, { response, text }) {
    element.setAttribute("data-gw-error", String(response.status));
    const id = response.status >= 500 ? /<code>([0-9a-f]{8})<\/code>/.exec(text)?.[1] : null;
    const line = told(element) ?? document.createElement("p");
    const again = document.createElement("button");
    again.type = "button";
    again.className = "button small";
    again.textContent = "Try again";
    again.addEventListener("click", () => refresh(element));
    line.className = "stale";
    line.setAttribute("role", "status");
    line.replaceChildren(`Not current: the server answers ${response.status}${id ? `, id ${id}` : ""}. `, again);
    if (!line.isConnected) element.before(line);
  }

  function told(element) {
    const before = element.previousElementSibling;
    return before?.matches("p.stale") ? before : null;
  }

  // An event renews at once, but a burst of events only a few times a second, or as seldom as gw-gap says.
  function soon(element, gap = Math.max(GAP_MS, secondsOf(element, "gw-gap") * 1000)) {
    const state = stateOf(element);
    const wait = state.at + gap - Date.now();
    if (state.busy) state.again = true;
    else if (wait <= 0) refresh(element, true);
    else state.due = Math.min(state.due || Infinity, Date.now() + wait);
  }

  function tick() {
    if (document.hidden || signedOut) return;
    if (offlineSince) {
      probe();
      return;
    }
    const now = Date.now();
    for (const element of document.querySelectorAll("[gw-render][gw-on-load]")) {
      const state = stateOf(element);
      if (!state.loaded) {
        state.loaded = true;
        if (!element.childElementCount) element.setAttribute("aria-busy", "true");
        refresh(element);
      }
    }
    for (const element of document.querySelectorAll(LIVE)) {
      const state = stateOf(element);
      const seconds = interval(element);
      if (seconds && !state.due) state.due = now + seconds * 1000;
      if (state.due && now >= state.due && !state.busy) refresh(element, true);
    }
    listen();
    if (now - heardAt >= SILENCE_MS) probe(); // or a page that asks for nothing notices no outage
    showAges();
  }

  // --- events ------------------------------------------------------------------

  function wantedTopics() {
    const topics = new Set();
    for (const element of document.querySelectorAll(`${LIVE}[gw-topic]`)) {
      topicsOf(element).forEach((topic) => topics.add(topic));
    }
    return Array.from(topics).sort();
  }

  function topicsOf(element) {
    return (element.getAttribute("gw-topic") ?? "").split(/\s+/).filter(Boolean);
  }

  function listen() {
    const topics = document.hidden || signedOut ? [] : wantedTopics();
    const key = topics.join(" ");
    const dead = stream && stream.readyState === EventSource.CLOSED;
    if (key === streamTopics && !dead) return;
    if (dead && Date.now() < streamRetryAt) return;
    if (dead) renewAll(); // a stream that was refused: the answer to that says why
    stream?.close();
    stream = null;
    streamTopics = key;
    if (!topics.length) return;
    streamRetryAt = Date.now() + pause();
    const query = new URLSearchParams(topics.map((topic) => ["topic", topic]));
    const opened = new EventSource(`/events?${query}`);
    let lost = false;
    opened.onopen = () => {
      failures = 0;
      setOnline();
      renewAll(lost ? 0 : FRESH_MS); // what was missed meanwhile is in the pages
      lost = false;
    };
    opened.onerror = () => {
      lost = true;
      failures += 1;
      if (opened === stream) probe();
    };
    opened.onmessage = (message) => {
      heardAt = Date.now();
      heard(JSON.parse(message.data));
    };
    stream = opened;
  }

  function heard(event) {
    document.dispatchEvent(new CustomEvent("gw:event", { detail: event }));
    for (const element of document.querySelectorAll(`${LIVE}[gw-topic]`)) {
      if (topicsOf(element).includes(event.topic)) soon(element);
    }
  }

  /* Renew all elements; with an age, only those that hear events and show what is older. */
  function renewAll(age = 0) {
    for (const element of document.querySelectorAll(age ? `${LIVE}[gw-topic]` : LIVE)) {
      const shown = Math.max(stateOf(element).at, performance.timeOrigin);
      if (!age || Date.now() - shown >= age) soon(element, GAP_MS);
    }
  }

  // --- offline -------------------------------------------------------------------

  function setOffline() {
    if (offlineSince) return;
    offlineSince = new Date();
    const since = offlineSince.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
    const bar = $("gway-offline");
    if (bar) {
      bar.textContent = `Offline since ${since}, trying again`;
      bar.hidden = false;
    }
    document.documentElement.setAttribute("data-offline", "");
  }

  function setOnline() {
    if (!offlineSince) return;
    offlineSince = null;
    const bar = $("gway-offline");
    if (bar) bar.hidden = true;
    document.documentElement.removeAttribute("data-offline");
    renewAll();
  }

  // The session is over: nothing is asked any more until somebody looks at the page again.
  function setSignedOut(login) {
    if (signedOut) return;
    signedOut = true;
    stream?.close();
    stream = null;
    streamTopics = "";
    const bar = $("gway-offline");
    if (bar) {
      const again = document.createElement("a");
      again.href = `${login}?${new URLSearchParams({ next: location.pathname + location.search })}`;
      again.textContent = "sign in again";
      bar.replaceChildren("You are signed out, what is below is old: ", again, ".");
      bar.hidden = false;
    }
    document.documentElement.setAttribute("data-offline", "");
  }

  function trySignedIn() {
    if (!signedOut) return;
    signedOut = false;
    const bar = $("gway-offline");
    if (bar) bar.hidden = true;
    document.documentElement.removeAttribute("data-offline");
  }

  // Longer after each failure, and never the same for all pages of a server that comes back.
  function pause() {
    const most = Math.min(PROBE_MS * 2 ** Math.min(failures, 5), PROBE_MOST_MS);
    return most * (0.5 + Math.random() / 2);
  }

  async function probe() {
    if (probing || Date.now() < probeAt) return;
    probing = true;
    try {
      failures = (await ask("/healthz")) ? 0 : failures + 1;
    } finally {
      probeAt = Date.now() + pause();
      probing = false;
    }
  }

  // --- clicks and forms ------------------------------------------------------------

  function targetOf(element) {
    const selector = element.getAttribute("gw-target");
    return selector ? document.querySelector(selector) : element.closest("[gw-render]");
  }

  function agreed(element) {
    const question = element?.getAttribute("gw-confirm");
    return !question || window.confirm(question);
  }

  async function clicked(element) {
    if (!agreed(element)) return;
    const target = targetOf(element);
    if (!target) return;
    const name = element.getAttribute("gw-click");
    if (!name) {
      await refresh(target);
      return;
    }
    const got = await busy(target, ask(renderUrl(element, name)));
    if (got) morph(target, got.text);
  }

  async function busy(target, work) {
    target.setAttribute("aria-busy", "true");
    try {
      return await work;
    } finally {
      target.removeAttribute("aria-busy");
    }
  }

  async function submitted(form, submitter) {
    const values = new URLSearchParams(new FormData(form, submitter ?? undefined));
    const method = (submitter?.getAttribute("formmethod") ?? form.getAttribute("method") ?? "get").toLowerCase();
    const action = submitter?.getAttribute("formaction") ?? form.getAttribute("action") ?? "";
    if (method === "get") await filtered(form, action, values);
    else await sent(form, submitter, method, action || location.href, values);
  }

  // A GET form narrows down what the page shows: its values become the page's address.
  async function filtered(form, action, values) {
    for (const [name, value] of Array.from(values)) if (!value) values.delete(name);
    const path = action ? new URL(action, location.href).pathname : location.pathname;
    const url = `${path}${values.size ? `?${values}` : ""}`;
    if (path !== location.pathname) {
      location.assign(url);
      return;
    }
    history.replaceState(null, "", url);
    shownAt = url;
    const target = form.hasAttribute("gw-target") ? targetOf(form) : null;
    if (target?.hasAttribute("gw-render")) {
      await busy(target, refresh(target));
      return;
    }
    const content = $("content");
    const got = await busy(target ?? content, ask(url));
    if (got) morph(content, got.text, true);
  }

  // A link of a table: the same page with other values, without losing the place.
  async function followed(url, remember) {
    const content = $("content");
    const got = await busy(content, ask(url));
    if (!got) return;
    if (remember) history.pushState(null, "", url);
    shownAt = location.pathname + location.search;
    morph(content, got.text, true);
  }

  async function sent(form, submitter, method, action, values, again = true) {
    const buttons = Array.from(form.querySelectorAll("button, input[type=submit]"));
    const free = buttons.filter((button) => !button.disabled);
    free.forEach((button) => (button.disabled = true));
    try {
      const got = await ask(action, { method: method.toUpperCase(), body: values });
      if (!got) {
        note(signedOut ? "Not sent: you are signed out." : "Not sent: the server cannot be reached.");
      } else if (again && got.response.headers.get("X-GWAY-Stale") === "csrf") {
        values.set("csrf", csrfMeta()?.content ?? "");
        await sent(form, submitter, method, action, values, false);
      } else {
        answered(form, submitter, got);
      }
    } finally {
      free.forEach((button) => (button.disabled = false));
    }
  }

  function answered(form, submitter, { response, text }) {
    const chosen = (submitter?.hasAttribute("gw-target") ? submitter : form);
    const target = chosen.hasAttribute("gw-target") ? targetOf(chosen) : null;
    const json = (response.headers.get("Content-Type") ?? "").startsWith("application/json");
    if (target) {
      if (json) target.textContent = tellJson(text, response.ok);
      else morph(target, text);
    } else if (!response.ok) {
      note(json ? tellJson(text, false) : tellPage(text));
    } else {
      const around = form.closest("[gw-render]");
      if (around) refresh(around);
      else if (response.redirected) location.assign(response.url);
    }
    if (response.ok && form.hasAttribute("gw-reset")) form.reset();
    form.dispatchEvent(new CustomEvent("gw:sent", { bubbles: true, detail: { ok: response.ok } }));
  }

  function tellJson(text, ok) {
    const value = text ? JSON.parse(text) : null;
    if (ok) return typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return [value?.error, value?.hint].filter(Boolean).join(" – ");
  }

  function tellPage(text) {
    const template = document.createElement("template");
    template.innerHTML = text;
    return template.content.textContent.replace(/\s+/g, " ").trim();
  }

  function note(text) {
    const place = $("gway-note");
    if (!place) return;
    place.textContent = text;
    place.hidden = false;
    clearTimeout(note.timer);
    note.timer = setTimeout(() => (place.hidden = true), 8000);
  }

  // --- times -----------------------------------------------------------------------

  function localise(root) {
    root.querySelectorAll("time[datetime]").forEach(showTime);
    root.querySelectorAll("input[gw-utc]:not([data-local])").forEach(showField);
  }

  function showTime(element) {
    const moment = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) return;
    element.title = `${moment.toISOString().slice(0, 19).replace("T", " ")} UTC`;
    const text = words(moment, element.getAttribute("gw-time"));
    if (element.textContent !== text) element.textContent = text;
  }

  function words(moment, style) {
    const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
    const date = moment.toLocaleDateString("sv"); // 2026-11-24: read alike everywhere
    if (style === "ago") return ago((Date.now() - moment.getTime()) / 1000);
    if (style === "time") return time;
    if (style === "date") return date;
    return moment.toDateString() === new Date().toDateString() ? time : `${date} ${time}`;
  }

  function ago(seconds) {
    const size = Math.abs(seconds);
    const said =
      size < 60 ? `${Math.floor(size)} s`
      : size < 3600 ? `${Math.floor(size / 60)} min`
      : size < 86400 ? `${Math.floor(size / 3600)} h`
      : `${Math.floor(size / 86400)} d`;
    return seconds < -1 ? `in ${said}` : `${said} ago`;
  }

  function showAges() {
    document.querySelectorAll('time[datetime][gw-time="ago"]').forEach(showTime);
  }

  function showField(field) {
    const given = field.getAttribute("value");
    field.setAttribute("data-local", "");
    if (!given) return;
    const moment = new Date(/Z|[+-]\d\d:\d\d$/.test(given) ? given : `${given}Z`);
    if (Number.isNaN(moment.getTime())) return;
    const local = new Date(moment.getTime() - moment.getTimezoneOffset() * 60000);
    const text = local.toISOString().slice(0, 16);
    field.setAttribute("value", text);
    field.value = text;
  }

  function toUtc(event) {
    for (const field of event.target.querySelectorAll("input[gw-utc][name]")) {
      if (!field.value || !event.formData.has(field.name)) continue;
      event.formData.set(field.name, new Date(field.value).toISOString());
    }
  }

  // --- start -------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const element = event.target.closest?.("[gw-click]");
    if (!element || event.defaultPrevented) return;
    event.preventDefault();
    clicked(element);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!agreed(event.submitter) || !agreed(form)) {
      event.preventDefault();
    } else if (form.hasAttribute("gw-form")) {
      event.preventDefault();
      submitted(form, event.submitter);
    }
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.('form[gw-form="change"]');
    if (form) form.requestSubmit();
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.('form[gw-form="input"]');
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(() => form.requestSubmit(), TYPING_MS);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[gw-link]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    followed(new URL(link.getAttribute("href"), location.href).href, true);
  });
  window.addEventListener("popstate", () => {
    if (location.pathname + location.search !== shownAt) followed(location.href, false);
  });
  window.addEventListener("online", () => {
    probeAt = 0;
    probe();
  });
  document.addEventListener("formdata", toUtc);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) trySignedIn(); // perhaps in another window
    listen();
    if (document.hidden) return;
    heardAt = 0; // whatever was known is old
    renewAll();
  });
  window.addEventListener("pagehide", () => stream?.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      streamTopics = "";
      renewAll();
    }
  });

  localise(document);
  setInterval(tick, TICK_MS);
  tick();
  window.gway = Object.freeze({ ask, refresh, morph, note });
})();
