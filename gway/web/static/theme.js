/* The chosen theme, before anything is drawn; loaded without `defer` for that. */
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  let theme = null;
  try {
    theme = localStorage.getItem("gway-theme");
  } catch {
    return; // storage is forbidden: the system decides
  }
  if (theme === "light" || theme === "dark") root.setAttribute("data-theme", theme);
})();
