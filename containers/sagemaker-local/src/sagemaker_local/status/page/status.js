"use strict";
// Reads /_local/status.json once a second, and the open log beside it. Everything is put in as text, never as markup.

const PERIOD_MS = 1000;
const OVERLAP_MS = 5000; // a line may be written a moment after a later one
const LINES_KEPT = 3000;
const TONES = {
  Completed: "good", InService: "good", OK: "good", Succeeded: "good",
  Failed: "bad", ALARM: "bad", OutOfService: "bad", UpdateRollbackFailed: "bad",
  Stopped: "warn", Stopping: "warn", RollingBack: "warn", INSUFFICIENT_DATA: "warn",
};

let open = null; // {key, title, log, seen, latest}

const byId = (id) => document.getElementById(id);

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function tone(status) { return TONES[status] || "busy"; }

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", second: "2-digit"});
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function percent(share) { return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`; }

function showServer(server, counts) {
  const executor = `${server.executor}, ${server.side_by_side} jobs side by side`;
  byId("server").textContent = `${server.url} · ${server.region} · ${server.account} · ${executor}`;
  byId("counts").replaceChildren(
    ...Object.entries(counts).sort().map(([status, count]) => make("span", tone(status), `${count} ${status}`)));
}

function logButton(label, key, title, log, reason) {
  const button = make("button", "", label);
  button.type = "button";
  button.addEventListener("click", () => openLog({key, title, log, reason}));
  return button;
}

function jobRow(job, now) {
  const key = `${job.kind} ${job.name}`;
  const name = job.log ? logButton(job.name, key, key, job.log, job.reason) : job.name;
  const status = job.step && job.step !== job.status ? `${job.status} · ${job.step}` : job.status;
  const cell = make("td", tone(job.status), status);
  if (job.reason) cell.title = job.reason;
  const took = job.started ? duration((job.ended || now) - job.started) : "";
  const row = make("tr", "", make("td", "", name), make("td", "", job.kind), cell,
    make("td", "", clock(job.created)), make("td", "number", took));
  row.dataset.name = job.name;
  return row;
}

function sparkline(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const most = Math.max(1, ...values);
  svg.setAttribute("viewBox", `0 0 ${values.length - 1} 34`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `requests of the last ${values.length} seconds, at most ${most} in one`);
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  line.setAttribute("points", values.map((value, at) => `${at},${32 - (value / most) * 30}`).join(" "));
  svg.append(line);
  return svg;
}

function endpointCard(endpoint) {
  const name = logButton(endpoint.name, `endpoint ${endpoint.name}`, `Endpoint ${endpoint.name}`, endpoint.log, endpoint.reason);
  const card = make("article", "card",
    make("div", "head", make("h3", "", name), make("span", tone(endpoint.status), endpoint.status)),
    make("div", "quiet", endpoint.config));
  if (endpoint.reason) card.append(make("div", "bad", endpoint.reason));
  const split = make("div", "split");
  const rows = [];
  const fleets = endpoint.fleets.length;
  let position = 0;
  for (const fleet of endpoint.fleets) {
    for (const variant of fleet.variants) {
      const color = `share-${position % 4}`;
      position += 1;
      const part = make("div", color);
      part.style.width = `${variant.share * 100}%`;
      split.append(part);
      const dots = variant.instances.map((instance) => {
        const dot = make("span", instance.up ? "dot" : "dot down");
        dot.title = `${instance.id}: ${instance.up ? "running" : "starting again"}`;
        return dot;
      });
      const share = variant.shadow ? "shadow" : percent(variant.share);
      rows.push(make("div", "variant", make("span", `key ${color}`), make("span", "name", variant.name),
        make("strong", "share", share), make("span", "", ...dots),
        make("span", "quiet", `${variant.instances.length} of ${variant.wanted}${fleets > 1 ? ` · ${fleet.config}` : ""}`)));
    }
  }
  if (rows.length) card.append(split, ...rows);
  const rate = endpoint.rate;
  const recent = rate.per_second.slice(-10).reduce((sum, value) => sum + value, 0) / 10;
  const latency = rate.model_latency_ms === null ? "" : ` · model ${rate.model_latency_ms} ms`;
  const errors = rate.errors ? make("span", "bad", ` · ${rate.errors} errors`) : "";
  card.append(make("div", "rate", sparkline(rate.per_second),
    make("span", "quiet", `${recent.toFixed(1)} requests/s${latency}`, errors)));
  card.dataset.name = endpoint.name;
  return card;
}

function show(state) {
  showServer(state.server, state.counts);
  byId("endpoints").replaceChildren(
    ...(state.endpoints.length ? state.endpoints.map(endpointCard) : [make("p", "quiet", "No endpoints.")]));
  byId("jobs").replaceChildren(...state.jobs.map((job) => jobRow(job, state.server.time)));
  byId("no-jobs").hidden = state.jobs.length > 0;
  byId("alarms-section").hidden = state.alarms.length === 0;
  byId("alarms").replaceChildren(...state.alarms.map((alarm) =>
    make("li", "", make("strong", tone(alarm.state), alarm.state), ` ${alarm.name} `, make("span", "quiet", alarm.reason))));
  const rules = Object.values(state.faults).flat().filter((rule) => rule && typeof rule === "object");
  byId("faults").hidden = rules.length === 0;
  byId("faults").textContent = `Faults are injected: ${rules.length} rule${rules.length === 1 ? "" : "s"} at /_local/faults`;
  document.title = `Local SageMaker · ${state.counts.InProgress || 0} running`;
}

function openLog(wanted) {
  open = {...wanted, seen: new Set(), latest: 0};
  byId("log-title").textContent = wanted.title;
  byId("log-reason").textContent = wanted.reason || "";
  byId("lines").replaceChildren();
  byId("log").hidden = false;
  document.body.classList.add("with-log");
  readLog();
}

function closeLog() {
  open = null;
  byId("log").hidden = true;
  document.body.classList.remove("with-log");
}

async function readLog() {
  const log = open;
  if (!log) return;
  const asked = new URLSearchParams({group: log.log.group, prefix: log.log.prefix});
  if (log.latest) asked.set("since", String(log.latest - OVERLAP_MS));
  const answer = await fetch(`/_local/logs.json?${asked}`);
  if (log !== open) return;
  const box = byId("lines");
  if (!answer.ok) { // the group comes with its first line
    box.textContent = "Nothing has been printed yet.";
    return;
  }
  const fresh = (await answer.json()).lines.filter((line) => !log.seen.has(line.id));
  if (!fresh.length) return;
  if (!log.latest) box.replaceChildren();
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  for (const line of fresh) {
    log.seen.add(line.id);
    log.latest = Math.max(log.latest, line.time_ms);
    box.append(make("div", "", make("span", "when", `${clock(line.time_ms / 1000)}  `), line.text));
  }
  while (box.childElementCount > LINES_KEPT) box.firstElementChild.remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

async function turn() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/_local/status.json");
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
      await readLog();
      byId("lost").hidden = true;
    } catch (error) {
      console.error(error);
      byId("lost").hidden = false;
    }
  }
  setTimeout(turn, PERIOD_MS);
}

byId("close").addEventListener("click", closeLog);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeLog(); });
turn();
