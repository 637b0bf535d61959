// Keeps an open page up to date: the server sends elements, this puts them in their places.
"use strict";
(() => {
  const body = document.body, lamp = document.getElementById("live"), said = document.getElementById("said");
  const whole = body.dataset.live === "whole";
  const retry = 3000, spacing = 2000;
  let stream, seen = body.dataset.seen, fetching = false, again = false, fetchedAt = 0, timer = 0;

  // The one way from text to elements; the page's policy allows no other. The server has escaped the text.
  const asIs = { createHTML: (html) => html };
  const ours = window.trustedTypes ? window.trustedTypes.createPolicy("dynowarden", asIs) : asIs;

  const show = (state, text) => { lamp.dataset.state = state; lamp.textContent = text; };

  // Times come as UTC. Here they become the reader's, with UTC as their title, and the past becomes relative.
  const zone = document.getElementById("zone");
  const pad = (number) => String(number).padStart(2, "0");
  const clock = (at) => pad(at.getHours()) + ":" + pad(at.getMinutes());
  const dated = (at) => (at.toDateString() === new Date().toDateString() ? "" :
    at.toLocaleDateString(undefined, { day: "numeric", month: "short" }) + " ") + clock(at);
  const ago = (seconds) => seconds < 90 ? seconds + " s ago" : seconds < 5400 ? Math.round(seconds / 60) + " min ago" :
    seconds < 172800 ? Math.round(seconds / 3600) + " h ago" : Math.round(seconds / 86400) + " days ago";
  // What happened is never ahead of now: a reader's clock that is behind is set by it, and so is a demo's.
  let ahead = 0;
  const localise = (root) => {
    const times = root.querySelectorAll("time[datetime]");
    for (const time of times) if (!time.dataset.form) ahead = Math.max(ahead, new Date(time.dateTime) - Date.now() || 0);
    for (const time of times) {
      const at = new Date(time.dateTime), past = Math.floor((Date.now() + ahead - at) / 1000), form = time.dataset.form;
      if (isNaN(at)) continue;
      const text = form === "day" ? at.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" }) :
        form === "clock" || past < 0 ? dated(at) : ago(past) + " · " + dated(at);
      if (time.textContent !== text) time.textContent = text;
      time.title = time.dateTime.replace("T", " ").replace("Z", " UTC");
    }
  };
  if (zone) zone.textContent = "times in " + (Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone") + ", UTC under the pointer";
  localise(document);
  setInterval(() => localise(document), 15000);

  // The reading under the pointer or the finger.
  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest && event.target.closest("[data-points]"), svg = plot && plot.querySelector("svg");
    if (!svg) return;
    const box = svg.getBoundingClientRect(), width = svg.viewBox.baseVal.width;
    const units = width - (event.clientX - box.left) / box.width * width, unit = plot.dataset.unit || 1;
    let best = null;
    for (const point of plot.dataset.points.split(" ")) {
      const [ago, permille] = point.split(":").map(Number);
      if (permille && (!best || Math.abs(ago - units) < Math.abs(best[0] - units))) best = [ago, permille];
    }
    if (!best) return;
    const at = new Date((Number(plot.dataset.end) - best[0] * unit * 60) * 1000), quota = Number(plot.dataset.quota);
    const size = quota ? Math.round(quota * best[1] / 1000) + " MB, " : "";
    plot.querySelector(".readout").textContent = dated(at) + ": " + size + Math.round(best[1] / 10) + "% of the quota";
  });

  // Keyboard focus must survive the replacement of an element.
  const keepFocus = (root, act) => {
    const at = document.activeElement, inside = at && root.contains(at) && at !== root;
    const way = inside && (at.id ? "#" + CSS.escape(at.id) : at.getAttribute("href") &&
      '[href="' + CSS.escape(at.getAttribute("href")) + '"]');
    const fresh = act();
    const target = way && fresh.querySelector(way);
    if (target) target.focus({ preventScroll: true });
  };
  const busy = (root) => root.querySelector("details[open] form, form :focus, form:focus-within, details.refusals[open]");

  const put = (id, html) => {
    const old = document.getElementById(id);
    if (!old || (old.tagName !== "TR" && busy(old))) return;
    const template = document.createElement("template");
    template.innerHTML = ours.createHTML(html);
    const fresh = template.content.firstElementChild;
    if (fresh) keepFocus(old, () => { old.replaceWith(fresh); return fresh; });
    // What holds the element, for it may itself be in a time's place.
    if (fresh && fresh.parentNode) localise(fresh.parentNode);
    if (fresh && id === "headline") document.title = fresh.querySelector(".verdict").textContent + " · dynowarden";
  };

  // Fetches this page again and replaces its content; one request at a time, and not too often.
  const renew = async () => {
    if (fetching) { again = true; return; }
    const wait = fetchedAt + spacing - Date.now();
    if (wait > 0) { if (!timer) timer = setTimeout(() => { timer = 0; renew(); }, wait); return; }
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(ours.createHTML(await answer.text()), "text/html");
      const old = document.getElementById("main"), fresh = page.getElementById("main");
      seen = page.body.dataset.seen;
      if (fresh) document.title = page.title;
      if (fresh && !busy(old)) keepFocus(old, () => { old.replaceChildren(...fresh.childNodes); return old; });
      localise(document);
    } catch { /* The stream's own retry tries again. */ }
    fetchedAt = Date.now();
    fetching = false;
    if (again) { again = false; renew(); }
  };

  const close = () => { if (stream) stream.close(); stream = null; };
  const open = () => {
    close();
    stream = new EventSource("/api/v1/events?as=html&seen=" + encodeURIComponent(seen));
    stream.onopen = () => show("on", "Live");
    stream.onerror = () => {
      show("off", "Reconnecting …");
      // After a response such as 503 a browser does not reconnect, so the script does.
      if (stream && stream.readyState === 2) { close(); setTimeout(() => { if (!stream && !document.hidden) open(); }, retry); }
    };
    stream.addEventListener("part", (event) => {
      seen = event.lastEventId;
      if (whole) { renew(); return; }
      const cut = event.data.indexOf("\n");
      put(event.data.slice(0, cut), event.data.slice(cut + 1));
    });
    stream.addEventListener("rebuilt", (event) => { seen = event.lastEventId; renew(); });
    stream.addEventListener("said", (event) => { said.textContent = event.data; });
  };

  // A hidden page closes its stream: browsers and dynowarden allow only a few.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); show("off", "Paused"); } else open();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
})();
