// The live view: one WebSocket, its state in words, and the newest calls in a table. Texts that others chose reach the
// page as text nodes only.
"use strict";

{
  const box = document.getElementById("live");
  const form = document.getElementById("live-filters");
  const body = document.getElementById("live-rows");
  const pauseButton = document.getElementById("live-pause");
  const MOST_ROWS = Number(box.dataset.rows);
  const FIRST_WAIT_MS = 1000, LAST_WAIT_MS = 30000, TYPING_MS = 350;
  const SIGNED_OUT = 4401, TRY_LATER = 1013;

  const number = new Intl.NumberFormat("en-US");
  const TONES = {
    ok: "ok", tool_error: "error", rpc_error: "error", upstream_error: "error", timeout: "error", unavailable: "error",
    denied: "warn", limited: "warn", unauthenticated: "warn", invalid: "warn", client_gone: "muted",
  };

  // Texts and numbers

  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // What cannot be seen is written out; <bdi> keeps a name from turning its surroundings around.
  function named(text) {
    const visible = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (character) => {
      const code = character.codePointAt(0);
      if (code < 0x20) return String.fromCodePoint(0x2400 + code); // control pictures
      return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    });
    return element("bdi", visible);
  }

  function calls(count) {
    return `${number.format(count)} ${count === 1 ? "call" : "calls"}`;
  }

  function significant(value) {
    const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : 3;
    const text = value.toFixed(digits);
    return digits ? text.replace(/\.?0+$/, "") : text;
  }

  function latency(ms) {
    if (ms < 999.5) return `${significant(ms)}\u00a0ms`;
    const seconds = ms / 1000;
    if (seconds < 119.5) return `${significant(seconds)}\u00a0s`;
    const whole = Math.round(seconds);
    return whole < 3600 ? `${Math.floor(whole / 60)}\u00a0min` : `${Math.floor(whole / 3600)}\u00a0h`;
  }

  function size(bytes) {
    if (bytes < 1000) return `${bytes}\u00a0B`;
    let amount = bytes;
    for (const unit of ["kB", "MB", "GB", "TB"]) {
      amount /= 1000;
      if (amount < 999.5 || unit === "TB") return `${significant(amount)}\u00a0${unit}`;
    }
    return "";
  }

  // The table

  let waiting = []; // rows that came while somebody was about to use one of those on the page

  function isInUse() {
    if (body.contains(document.activeElement)) return true;
    if (matchMedia("(hover: hover)").matches && body.matches(":hover")) return true;
    const selection = getSelection();
    return Boolean(selection?.toString() && body.contains(selection.anchorNode));
  }

  function cell(row, ...parts) {
    const made = row.insertCell();
    made.setAttribute("role", "cell");
    made.append(...parts.filter(Boolean));
    return made;
  }

  function rowOf(call) {
    const row = element("tr");
    row.setAttribute("role", "row");
    const link = element("a", "", "row-link");
    link.href = `${box.dataset.requests}${encodeURIComponent(call.id)}/`;
    const time = element("time", call.at.slice(11, 23));
    time.dateTime = call.at;
    link.append(time);
    cell(row, link);
    cell(row, call.namespace && named(call.namespace)).title = call.namespace ?? "";
    cell(row, call.user_id && named(call.user_id)).title = call.user_id ?? "";
    const method = element("span", "", "live-method");
    if (call.method && (call.method !== "tools/call" || !call.tool)) method.append(named(call.method), call.tool ? " " : "");
    cell(row, method, call.tool && named(call.tool)).title = [call.method, call.tool].filter(Boolean).join(" ");
    cell(row, call.upstream && named(call.upstream)).title = call.upstream ?? "";
    const outcome = element("span", call.outcome.replaceAll("_", " "), `state state-${TONES[call.outcome] ?? "muted"}`);
    const reason = call.reason && element("span", call.reason.replaceAll("_", " "), "live-reason");
    cell(row, outcome, reason).title = [call.outcome, call.reason, call.client_address].filter(Boolean).join(" · ");
    cell(row, latency(call.latency_ms)).className = "number";
    cell(row, size(call.request_bytes)).className = "number";
    cell(row, size(call.response_bytes)).className = "number";
    return row;
  }

  function gap(text) {
    if (!body.rows.length) return;
    const row = element("tr", "", "live-gap");
    row.setAttribute("role", "row");
    cell(row, text).colSpan = 9;
    if (body.rows[0].className === "live-gap") body.rows[0].replaceWith(row);
    else body.prepend(row);
  }

  function show(fetched) {
    waiting = waiting.concat(fetched).slice(-MOST_ROWS);
    if (isInUse()) {
      note();
      return;
    }
    const fresh = document.createDocumentFragment();
    for (const call of waiting.reverse()) fresh.append(rowOf(call));
    waiting = [];
    body.prepend(fresh);
    while (body.rows.length > MOST_ROWS) body.rows[body.rows.length - 1].remove();
    document.getElementById("live-empty").hidden = body.rows.length > 0;
    note();
  }

  function clear() {
    body.replaceChildren();
    waiting = [];
    const empty = document.getElementById("live-empty");
    empty.hidden = false;
    empty.textContent = isFiltered() ? "No call has come that the filters let through." : "No call has come yet.";
    skipped = 0;
    note();
  }

  for (const event of ["pointerleave", "focusout"]) body.addEventListener(event, () => setTimeout(() => show([]), 50));
  document.addEventListener("selectionchange", () => waiting.length && setTimeout(() => show([]), 50));

  // The calls of the last minute

  const perSecond = new Array(60).fill(0);
  const spark = document.getElementById("live-spark");
  const bars = perSecond.map((_, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.setAttribute("x", String(index * 2));
    bar.setAttribute("width", "1.5");
    spark.append(bar);
    return bar;
  });

  function draw() {
    const most = Math.max(4, ...perSecond);
    bars.forEach((bar, index) => {
      const height = perSecond[index] ? Math.max(2, (perSecond[index] / most) * 24) : 1;
      bar.setAttribute("height", String(height));
      bar.setAttribute("y", String(24 - height));
      bar.setAttribute("class", perSecond[index] ? "" : "live-spark-line");
    });
    document.getElementById("live-rate").textContent = number.format(perSecond.reduce((sum, one) => sum + one, 0));
  }

  setInterval(() => {
    perSecond.shift();
    perSecond.push(0);
    draw();
  }, 1000);
  draw();

  // How things stand, in words

  let socket = null, waitMs = FIRST_WAIT_MS, timer = 0, typing = 0;
  let paused = false, missed = 0, skipped = 0, isIncomplete = false, lastFeed = "", wasOpen = false, refusal = null;

  function status(tone, text, ...more) {
    const line = document.getElementById("live-status");
    const said = element("span", text, `state state-${tone}`);
    // Said once: a status line that repeats itself is read out again and again.
    if (line.textContent === [text, ...more.map((one) => one.textContent ?? one)].join("")) return;
    line.replaceChildren(said, ...more);
  }

  function note() {
    const parts = [];
    if (paused) parts.push(`${calls(missed)} passed during the pause`);
    if (waiting.length) parts.push(`${calls(waiting.length)} held back while you use the list`);
    if (skipped) parts.push(`${calls(skipped)} skipped, faster than can be shown`);
    else if (isIncomplete) parts.push("some calls were skipped");
    document.getElementById("live-note").textContent = parts.join(" · ");
  }

  function stateArrived(state) {
    if (paused && !state.paused && state.missed) gap(`${calls(state.missed)} passed during the pause.`);
    if (lastFeed === "interrupted" && state.feed === "listening" && wasOpen) {
      gap("Resumed. Calls made meanwhile are in the list of requests.");
    }
    paused = state.paused;
    missed = state.missed;
    lastFeed = state.feed;
    pauseButton.disabled = false;
    pauseButton.textContent = paused ? "Resume" : "Pause";
    if (state.feed !== "listening") status("warn", "Interrupted: the database is away");
    else if (paused) status("muted", "Paused");
    else {
      status("ok", "Live");
      wasOpen = true;
    }
    note();
  }

  // The connection

  function send(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function arrived(event) {
    const message = JSON.parse(event.data);
    if (message.type === "rows") {
      perSecond[59] += message.rows.length + message.skipped;
      skipped += message.skipped;
      isIncomplete ||= message.incomplete;
      message.rows.forEach(learn);
      show(message.rows);
    } else if (message.type === "state") {
      stateArrived(message);
    } else if (message.type === "hello") {
      waitMs = FIRST_WAIT_MS;
      refusal = null;
      if (isFiltered()) send({ type: "filter", ...asked() });
      if (paused) send({ type: "pause" });
    } else if (message.type === "error") {
      refusal = message.message;
      document.getElementById("live-note").textContent = message.message;
    }
  }

  function connect() {
    clearTimeout(timer);
    timer = 0;
    status("muted", "Connecting");
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/live`);
    socket.addEventListener("message", arrived);
    socket.addEventListener("close", closed);
  }

  async function isSignedOut() {
    try {
      const answer = await fetch(box.dataset.signIn, { method: "HEAD", redirect: "manual", cache: "no-store" });
      return answer.type === "opaqueredirect";
    } catch {
      return false; // nobody answers: not a matter of signing in
    }
  }

  async function closed(event) {
    pauseButton.disabled = true;
    if (lastFeed) {
      lastFeed = "interrupted";
    }
    if (event.code === SIGNED_OUT || (event.code === 1006 && (await isSignedOut()))) {
      const link = element("a", "Sign in again");
      link.href = location.href;
      status("error", "Signed out", " ", link);
      return;
    }
    if (event.code === TRY_LATER) waitMs = LAST_WAIT_MS;
    const pause = waitMs * (0.75 + Math.random() / 2);
    waitMs = Math.min(2 * waitMs, LAST_WAIT_MS);
    const why = event.code === TRY_LATER && refusal ? refusal.replace(/; .*/, "") : "Connection lost";
    status("warn", `${why}; trying again${pause > 3000 ? ` in ${Math.round(pause / 1000)} s` : ""}`);
    timer = setTimeout(connect, pause);
  }

  function retryNow() {
    if (timer && document.visibilityState === "visible") connect();
  }

  addEventListener("online", retryNow);
  document.addEventListener("visibilitychange", retryNow);

  // Filters, which live in the address

  let inForce = JSON.stringify(asked());

  function asked() {
    const chosen = {};
    for (const field of form.elements) {
      if (!field.name || (field.type === "checkbox" && !field.checked)) continue;
      if (field.type === "checkbox") chosen[field.name] = true;
      else if (field.type === "number") {
        if (field.value && field.checkValidity()) chosen[field.name] = Number(field.value);
      } else if (field.value.trim()) chosen[field.name] = field.value.trim();
    }
    return chosen;
  }

  function isFiltered() {
    return Object.keys(asked()).length > 0;
  }

  function showFilters() {
    for (const field of form.elements) {
      if (field.name && field.type !== "checkbox") field.classList.toggle("is-set", field.value.trim() !== "");
    }
    document.getElementById("live-reset").hidden = !isFiltered();
  }

  function applyFilters() {
    clearTimeout(typing);
    const chosen = asked();
    showFilters();
    if (JSON.stringify(chosen) === inForce) return;
    inForce = JSON.stringify(chosen);
    const query = new URLSearchParams(Object.entries(chosen).map(([name, value]) => [name, value === true ? "1" : value]));
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
    clear();
    send({ type: "filter", ...chosen });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    applyFilters();
  });
  form.addEventListener("change", applyFilters);
  form.addEventListener("input", (event) => {
    if (event.target.type === "checkbox" || event.target.tagName === "SELECT") return;
    clearTimeout(typing);
    typing = setTimeout(applyFilters, TYPING_MS);
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault(); // to nothing, not to what the page came with
    for (const field of form.elements) {
      if (field.type === "checkbox") field.checked = false;
      else if (field.name) field.value = "";
    }
    applyFilters();
    form.elements[0].focus();
  });

  // Names seen so far, offered while typing

  const MOST_KNOWN = 50;
  const known = { namespace: new Set(), user_id: new Set(), tool: new Set(), upstream: new Set() };
  const lists = { namespace: "namespace", user_id: "user", tool: "tool", upstream: "upstream" };

  function learn(call) {
    for (const [field, seen] of Object.entries(known)) {
      const text = call[field];
      if (!text || seen.has(text) || seen.size >= MOST_KNOWN) continue;
      seen.add(text);
      const option = element("option");
      option.value = text;
      document.getElementById(`live-known-${lists[field]}`).append(option);
    }
  }

  // Pause

  function togglePause() {
    if (!pauseButton.disabled) send({ type: paused ? "resume" : "pause" });
  }

  pauseButton.addEventListener("click", togglePause);
  document.getElementById("live-clear").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (event.key !== "p" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    event.preventDefault();
    togglePause();
  });

  // A phone's first screen belongs to the calls.
  if (matchMedia("(max-width: 760px)").matches && !isFiltered()) document.getElementById("live-filter-box").open = false;
  showFilters();
  connect();
}
