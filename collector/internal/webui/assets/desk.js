// Renews <main> when the ledger has grown, and adds keys. The pages work without it.
"use strict";
(() => {
  const quiet = 2000; // milliseconds between two renewals, at least
  const button = document.getElementById("pause");
  const live = document.getElementById("live");
  const main = () => document.querySelector("main");
  const field = (e) => e?.matches?.("input, select, textarea, [contenteditable]");

  // A small screen begins with the pages folded; without script they are open.
  const menu = document.getElementById("menu");
  const small = matchMedia("(max-width: 63.99rem)");
  const fold = () => { if (menu) menu.open = !small.matches; };
  small.addEventListener("change", fold);
  fold();

  // The key / leads to the search, unless somebody turned it off or is writing.
  const off = () => localStorage.getItem("slash") === "off";
  const label = () => {
    const slash = document.getElementById("slash");
    if (slash) slash.textContent = off() ? "Turn the key on" : "Turn the key off";
  };
  document.addEventListener("click", (e) => {
    if (e.target.id !== "slash") return;
    localStorage.setItem("slash", off() ? "on" : "off");
    label();
  });
  label();
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || field(e.target) && e.target.type !== "checkbox") return;
    if (e.key === "/" && !off()) {
      const find = document.getElementById("find");
      if (find) { e.preventDefault(); find.focus(); find.select(); }
      return;
    }
    // In the queue, and only while the focus is in it: j and k move, x marks, Enter opens.
    const table = e.target.closest?.("[data-keys=queue]");
    if (!table || !["j", "k", "x", "Enter"].includes(e.key)) return;
    const rows = Array.from(table.querySelectorAll("tbody tr"));
    const at = rows.findIndex((r) => r.contains(document.activeElement));
    if (e.key === "j" || e.key === "k") {
      const next = rows[Math.min(Math.max(at + (e.key === "j" ? 1 : -1), 0), rows.length - 1)];
      next?.querySelector("input[name=item]")?.focus();
    } else if (e.key === "x" && at >= 0) {
      rows[at].querySelector("input[name=item]")?.click();
    } else if (e.key === "Enter" && at >= 0 && e.target.type === "checkbox") {
      rows[at].querySelector("a[href]")?.click();
    } else return;
    e.preventDefault();
  });

  let paused = false, wanted = false, busy = false, held = false, last = 0, timer = 0;

  // What has the focus is found again by all that tells it from its neighbours, or not at
  // all: who is about to press a button must never press another one.
  const find = (from, was) => {
    if (!was) return null;
    const all = from.querySelectorAll("a[href], [tabindex], input, button, summary");
    return Array.from(all).find((e) => { const is = remember(e); return Object.keys(was).every((k) => is[k] === was[k]); });
  };
  const remember = (e) => e && e !== document.body ? { href: e.getAttribute("href"), label: e.getAttribute("aria-label"), value: e.value ?? "", tag: e.tagName, name: e.getAttribute("name"), action: e.form?.getAttribute("action") ?? "", text: /^(A|BUTTON|SUMMARY)$/.test(e.tagName) ? e.textContent.trim() : "" } : null;
  const findings = (from) => Number(from.querySelector("#findings")?.dataset.count ?? -1);

  // Somebody who writes, marks or copies is not disturbed.
  const occupied = () => {
    if (!getSelection().isCollapsed) return true;
    const all = Array.from(main().querySelectorAll("input:not([type=hidden]), textarea, select"));
    return all.some((e) => e === document.activeElement && e.type !== "checkbox" ||
      (e.type === "checkbox" ? e.checked !== e.defaultChecked : e.tagName === "SELECT" ? Array.from(e.options).some((o) => o.selected !== o.defaultSelected) && e.selectedIndex > 0 : e.value !== e.defaultValue));
  };
  const tell = () => { if (button) button.textContent = paused ? "Resume updates" : held ? "Show what is new" : "Pause updates"; };

  async function renew() {
    if (busy || paused || !wanted || document.hidden) return;
    if (occupied()) {
      if (!held) { held = true; tell(); }
      later(quiet);
      return;
    }
    const wait = last + quiet - Date.now();
    if (wait > 0) { later(wait); return; }
    busy = true; wanted = false; last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      const old = main();
      if (!next || paused) return;
      if (occupied()) { wanted = true; return; }
      const scrolled = Array.from(old.querySelectorAll(".wide"), (e) => e.scrollLeft);
      const open = new Set(Array.from(old.querySelectorAll("details[open] > summary"), (s) => s.textContent));
      const focused = old.contains(document.activeElement) ? remember(document.activeElement) : null;
      const before = findings(old), after = findings(next);
      next.querySelectorAll("details").forEach((d) => { if (open.has(d.querySelector("summary")?.textContent)) d.open = true; });
      old.replaceWith(next);
      next.querySelectorAll(".wide").forEach((e, i) => { e.scrollLeft = scrolled[i] ?? 0; });
      (find(next, focused) ?? (focused ? next : null))?.focus({ preventScroll: true });
      if (after > before && before >= 0) live.textContent = `${after} findings are shown, ${after - before} new.`;
      held = false;
      tell();
      follow();
    } catch {
      wanted = true; // the collector is away; the stream says when it is back
    } finally {
      busy = false;
      if (wanted) later(quiet);
    }
  }
  function later(ms) { clearTimeout(timer); timer = setTimeout(renew, ms); }

  // A page that follows something that goes on asks again by itself.
  function follow() {
    const seconds = Number(main().dataset.again ?? 0);
    if (seconds > 0) { wanted = true; later(seconds * 1000); }
  }
  follow();

  if (!button || !main().dataset.live) return;
  const shown = () => Number(main().dataset.revision);
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
    if (held && !paused) { location.reload(); return; }
    paused = !paused;
    wanted = true;
    tell();
    renew();
  });
})();
