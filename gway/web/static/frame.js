/* The frame around every page: theme switch, menu, keys, tables that are too wide.
 *
 * Keys: "/" the page's filter (data-filter), arrows move among cards and rows, Enter opens,
 * "g" and a letter goes to a page of the bar, "?" lists the keys. None of them while typing,
 * but for two in the filter: down arrow goes to the first hit, Enter filters and goes there.
 */
"use strict";
(() => {
  const THEMES = ["system", "light", "dark"];
  const GO_MS = 1500;
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  let goUntil = 0;
  let hitOf = null; // the filter whose first hit is awaited

  // --- theme -------------------------------------------------------------------

  function theme() {
    return root.getAttribute("data-theme") ?? "system";
  }

  function showTheme() {
    const button = $("gway-theme");
    if (button) button.textContent = `Theme: ${theme()}`;
  }

  function choose(wanted) {
    if (wanted === "system") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", wanted);
    try {
      if (wanted === "system") localStorage.removeItem("gway-theme");
      else localStorage.setItem("gway-theme", wanted);
    } catch (error) {
      console.warn("the theme cannot be remembered", error);
    }
    showTheme();
  }

  // --- menu --------------------------------------------------------------------

  function openMenu(open) {
    const button = $("gway-menu");
    button?.closest(".bar").classList.toggle("open", open);
    button?.setAttribute("aria-expanded", String(open));
  }

  // --- keys --------------------------------------------------------------------

  function isTyping(element) {
    return element.isContentEditable || element.matches("input, textarea, select");
  }

  function goKeys() {
    const keys = new Map();
    for (const link of document.querySelectorAll(".bar nav a")) {
      const letter = Array.from(link.textContent.toLowerCase()).find((one) => /[a-z]/.test(one) && !keys.has(one));
      if (letter) keys.set(letter, link);
    }
    return keys;
  }

  function showKeys() {
    const dialog = $("gway-keys");
    if (!dialog || dialog.open) return;
    const rows = Array.from(goKeys(), ([letter, link]) => [["g", letter], link.textContent]);
    const list = dialog.querySelector("[data-go]");
    list.replaceChildren();
    for (const [keys, text] of rows) {
      const term = document.createElement("dt");
      for (const key of keys) {
        const shown = document.createElement("kbd");
        shown.textContent = key;
        term.append(shown, " ");
      }
      const meaning = document.createElement("dd");
      meaning.textContent = text;
      list.append(term, meaning);
    }
    dialog.showModal();
  }

  // What the arrows move among: the links of cards, and the rows of tables.
  function stops() {
    const cards = Array.from(document.querySelectorAll(".cards > .card"), (card) => card.querySelector("a.cover, a, summary"));
    const rows = Array.from(document.querySelectorAll("main .table tbody tr"), (row) => row.querySelector("a") ?? row);
    return [...cards, ...rows].filter((one) => one && one.getClientRects().length);
  }

  function boxOf(stop) {
    return (stop.closest(".card, tr") ?? stop).getBoundingClientRect();
  }

  function nearest(from, key) {
    const here = boxOf(from);
    const vertical = key === "ArrowUp" || key === "ArrowDown";
    const sign = key === "ArrowUp" || key === "ArrowLeft" ? -1 : 1;
    let best = null;
    let least = Infinity;
    for (const stop of stops()) {
      if (stop === from) continue;
      const box = boxOf(stop);
      const ahead = sign * (vertical ? box.top - here.top : box.left - here.left);
      const aside = Math.abs(vertical ? box.left - here.left : box.top - here.top);
      if (ahead <= 1 || (!vertical && aside > here.height / 2)) continue;
      const far = ahead + 2 * aside;
      if (far < least) [best, least] = [stop, far];
    }
    return best;
  }

  function goTo(stop) {
    if (stop.matches("tr")) stop.tabIndex = -1;
    stop.focus();
    (stop.closest(".card, tr") ?? stop).scrollIntoView({ block: "nearest" });
  }

  function move(event) {
    const all = stops();
    if (!all.length) return;
    const focused = document.activeElement;
    const from = all.find((stop) => stop === focused) ??
      all.find((stop) => stop.closest(".card, tr")?.contains(focused));
    if (!from && focused !== document.body && focused !== $("content")) return;
    const to = from ? nearest(from, event.key) : all[0];
    if (!to) return;
    event.preventDefault();
    goTo(to);
  }

  // --- the filter -----------------------------------------------------------------

  function filterField() {
    return document.querySelector("main [data-filter], main input[type=search], main input[name=q]");
  }

  function filteredPart(field) {
    const target = field.form?.getAttribute("gw-target");
    return (target && document.querySelector(target)) || $("content");
  }

  function toFirstHit(field) {
    const part = filteredPart(field);
    const hit = stops().find((stop) => part.contains(stop) && stop.compareDocumentPosition(field) & Node.DOCUMENT_POSITION_PRECEDING) ??
      (part === $("content") ? null : part.querySelector("a[href], summary"));
    if (hit) goTo(hit);
    return Boolean(hit);
  }

  function pressedInFilter(event) {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && toFirstHit(event.target)) event.preventDefault();
    // The form sends itself: what it brings is not there yet.
    if (event.key === "Enter" && event.target.form?.hasAttribute("gw-form")) hitOf = event.target;
  }

  function refreshed(event) {
    showWider();
    if (!hitOf || event.target !== filteredPart(hitOf)) return;
    const field = hitOf;
    hitOf = null;
    if (document.activeElement === field) toFirstHit(field);
  }

  function pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    hitOf = null;
    if (isTyping(event.target)) {
      if (event.target === filterField()) pressedInFilter(event);
      return;
    }
    if (event.key === "Escape") openMenu(false);
    if (document.querySelector("dialog[open]")) return;
    if (Date.now() < goUntil) {
      goUntil = 0;
      const link = goKeys().get(event.key.toLowerCase());
      if (link) {
        event.preventDefault();
        location.assign(link.href);
      }
    } else if (event.key === "g") {
      goUntil = Date.now() + GO_MS;
    } else if (event.key === "?") {
      event.preventDefault();
      showKeys();
    } else if (event.key === "/") {
      const field = filterField();
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key.startsWith("Arrow")) {
      move(event);
    }
  }

  // --- tables that are wider than the screen --------------------------------------

  function showWider() {
    for (const region of document.querySelectorAll(".table-scroll")) {
      const wider = region.scrollWidth > region.clientWidth + 1;
      region.toggleAttribute("data-wider", wider);
      const before = region.previousElementSibling;
      const told = before?.matches("p.wider") ? before : null;
      if (wider && !told) {
        const word = document.createElement("p");
        word.className = "wider";
        word.textContent = "More columns: scroll the table sideways \u2192";
        region.before(word);
      } else if (!wider && told) {
        told.remove();
      }
    }
  }

  document.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button?.id === "gway-theme") choose(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    if (button?.id === "gway-menu") openMenu(button.getAttribute("aria-expanded") !== "true");
    if (button?.id === "gway-help") showKeys();
  });
  document.addEventListener("gw:refreshed", refreshed);
  window.addEventListener("resize", showWider);
  showTheme();
  showWider();
})();
