// Renews <main> when the ledger has grown. The pages work without it.
"use strict";
(() => {
  const quiet = 2000; // milliseconds between two renewals, at least
  const button = document.getElementById("pause");
  const live = document.getElementById("live");
  let paused = false, wanted = false, busy = false, last = 0, timer = 0;

  // What has the focus is found again by its link, or by the table's label.
  const find = (from, was) => {
    if (!was) return null;
    const all = from.querySelectorAll("a[href], [tabindex]");
    return Array.from(all).find((e) => e.getAttribute("href") === was.href && e.getAttribute("aria-label") === was.label);
  };
  const remember = (e) => e && e !== document.body ? { href: e.getAttribute("href"), label: e.getAttribute("aria-label") } : null;
  const findings = (from) => Number(from.querySelector("#findings")?.dataset.count ?? -1);

  async function renew() {
    if (busy || paused || !wanted || document.hidden) return;
    if (!getSelection().isCollapsed) { later(quiet); return; } // somebody is about to copy
    const wait = last + quiet - Date.now();
    if (wait > 0) { later(wait); return; }
    busy = true; wanted = false; last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      const old = document.querySelector("main");
      if (!next || paused) return;
      const scrolled = Array.from(old.querySelectorAll(".wide"), (e) => e.scrollLeft);
      const focused = old.contains(document.activeElement) ? remember(document.activeElement) : null;
      const before = findings(old), after = findings(next);
      old.replaceWith(next);
      next.querySelectorAll(".wide").forEach((e, i) => { e.scrollLeft = scrolled[i] ?? 0; });
      (find(next, focused) ?? (focused ? next : null))?.focus({ preventScroll: true });
      if (after > before && before >= 0) live.textContent = `${after} findings are shown, ${after - before} new.`;
    } catch {
      wanted = true; // the collector is away; the stream says when it is back
    } finally {
      busy = false;
      if (wanted) later(quiet);
    }
  }
  function later(ms) { clearTimeout(timer); timer = setTimeout(renew, ms); }

  const shown = () => Number(document.querySelector("main").dataset.revision);
  const stream = new EventSource("/v1/events");
  stream.addEventListener("revision", (e) => {
    if (Number(e.data) !== shown()) { wanted = true; renew(); }
  });
  stream.addEventListener("error", () => {
    if (stream.readyState !== EventSource.CLOSED) return; // it connects again by itself
    live.textContent = button.textContent = "Updates have ended: reload";
    paused = true;
    button.addEventListener("click", () => location.reload());
  });
  document.addEventListener("visibilitychange", renew);
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume updates" : "Pause updates";
    wanted = true;
    renew();
  });
})();
