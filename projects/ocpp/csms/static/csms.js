/* What the charger pages add to gway.js: times that count on, and a log that can be held.
 *
 * data-counts="seconds"  the time since something began, which counts on between two renewals
 * data-holds="#id"       a button that stops an element from renewing itself, and lets it go on
 * data-follows           a hidden field of a form that has the value of the page's address
 */
"use strict";
(() => {
  const TICK_MS = 1000;
  const counted = new WeakMap(); // element -> {told, at}

  // As formats.duration has it: the two largest units.
  function words(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    const two = (number) => String(number).padStart(2, "0");
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
    return `${Math.floor(whole / 86400)} d ${two(Math.floor((whole % 86400) / 3600))} h`;
  }

  // From what the server told: the clock of this screen may be wrong.
  function count() {
    if (document.documentElement.hasAttribute("data-offline")) return;
    const now = performance.now();
    for (const element of document.querySelectorAll("[data-counts]")) {
      const told = element.getAttribute("data-counts");
      const seconds = parseFloat(told);
      if (Number.isNaN(seconds)) continue;
      let known = counted.get(element);
      if (!known || known.told !== told) {
        known = { told, at: now };
        counted.set(element, known);
      }
      const text = words(seconds + (now - known.at) / 1000);
      if (element.textContent !== text) element.textContent = text;
    }
  }

  function hold(button) {
    const log = document.querySelector(button.getAttribute("data-holds"));
    if (!log) return;
    const held = button.getAttribute("aria-pressed") !== "true";
    if (held) {
      log.dataset.refresh = log.getAttribute("gw-refresh") ?? "";
      log.removeAttribute("gw-refresh");
    } else {
      log.setAttribute("gw-refresh", log.dataset.refresh ?? "");
      window.gway.refresh(log);
    }
    button.setAttribute("aria-pressed", String(held));
    button.textContent = held ? "Resume" : "Pause";
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-holds]");
    if (button) hold(button);
  });
  // Two forms choose what this page shows: each keeps in the address what the other chose.
  function follow(event) {
    const chosen = new URLSearchParams(location.search);
    for (const field of event.target.querySelectorAll("input[data-follows]")) {
      event.formData.set(field.name, chosen.get(field.name) ?? "");
    }
  }

  document.addEventListener("formdata", follow);
  document.addEventListener("gw:refreshed", count);
  setInterval(count, TICK_MS);
  count();
})();
