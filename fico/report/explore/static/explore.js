"use strict";
// `data` is what fico.report.explore.content writes; a query is a row of its side: images for i2t, captions for t2i.

const $ = (selector, within = document) => within.querySelector(selector);
const data = JSON.parse($("#data").textContent);
const PAGE = 20;
const captionsOf = data.imageIds.map(() => []);
data.owners.forEach((image, caption) => captionsOf[image].push(caption));
const labelSets = data.labels.map((columns) => new Set(columns));
let chosen = []; // positions in data.queries of the direction, in the order shown
let drawn = 0;

function make(tag, values = {}, ...children) {
  const node = Object.assign(document.createElement(tag), values);
  node.append(...children);
  return node;
}

const value = (id) => $(id)?.value ?? "";
const direction = () => $("input[name=direction]:checked").value;
const imageOf = (way, row) => (way === "i2t" ? row : data.owners[row]);
const otherImage = (way, row) => (way === "i2t" ? data.owners[row] : row);

function kindOf(way, query, item) {
  const [one, other] = [imageOf(way, query), otherImage(way, item)];
  if (one === other) return "match";
  return data.labels.length && data.labels[one].some((label) => labelSets[other].has(label)) ? "related" : "";
}

// A rank that is not known lies behind the whole gallery.
function rankOf(run, way, position) {
  const last = way === "i2t" ? data.captions.length : data.imageIds.length;
  return data.runs[run].ranks[way][position] ?? last + 1;
}

function hardness(way, position) {
  return data.runs.reduce((sum, _, run) => sum + Math.log(rankOf(run, way, position)), 0);
}

function isChosen(way, row, words, category) {
  const image = imageOf(way, row);
  if (category !== "" && !labelSets[image].has(Number(category))) return false;
  if (!words.length) return true;
  const captions = way === "i2t" ? captionsOf[row] : [row];
  const text = `${data.imageIds[image]} ${captions.map((caption) => data.captions[caption]).join(" ")}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

// Smaller comes first; equal ones stay in the order of the data.
function orderKey(way, order, first, second, cut) {
  const gap = (position) => Math.log(rankOf(first, way, position)) - Math.log(rankOf(second, way, position));
  const finds = (run, position) => rankOf(run, way, position) <= cut;
  const only = (a, b, sign) => (position) =>
    sign * gap(position) - (finds(a, position) && !finds(b, position) ? 1000 : 0);
  return {
    hardest: (position) => -hardness(way, position),
    wins: only(first, second, 1),
    losses: only(second, first, -1),
    gap: (position) => -Math.abs(gap(position)),
  }[order];
}

function choose() {
  const way = direction();
  const words = value("#text").toLowerCase().split(/\s+/).filter(Boolean);
  const category = value("#category");
  const positions = data.queries[way].map((_, position) => position);
  chosen = positions.filter((position) => isChosen(way, data.queries[way][position], words, category));
  const [first, second, cut] = [Number(value("#runA")), Number(value("#runB")), Number(value("#cut"))];
  const key = orderKey(way, value("#order"), first, second, cut);
  if (key) {
    const keys = new Map(chosen.map((position) => [position, key(position)]));
    chosen.sort((one, other) => keys.get(one) - keys.get(other) || one - other);
  }
  $("#status").textContent = summary(way, first, second, cut);
  $("#queries").className = way;
  $("#queries").replaceChildren();
  drawn = 0;
  draw();
}

function summary(way, first, second, cut) {
  const count = (test) => chosen.filter(test).length.toLocaleString("en");
  const finds = (run) => (position) => rankOf(run, way, position) <= cut;
  const text = `${count(() => true)} ${chosen.length === 1 ? "query" : "queries"}`;
  if (data.runs.length < 2 || !chosen.length) return text;
  const [a, b] = [finds(first), finds(second)];
  return `${text}: A alone finds ${count((p) => a(p) && !b(p))}, B alone ${count((p) => b(p) && !a(p))}, \
both ${count((p) => a(p) && b(p))}, neither ${count((p) => !a(p) && !b(p))}`;
}

function enlarge(image) {
  const dialog = $("#large");
  Object.assign($("img", dialog), { src: data.pictures[image], alt: `image ${data.imageIds[image]}` });
  $("ul", dialog).replaceChildren(...captionsOf[image].map((row) => make("li", { textContent: data.captions[row] })));
  dialog.showModal();
}

function picture(image) {
  const id = data.imageIds[image];
  if (!data.pictures[image]) return make("span", { className: "gone", textContent: id });
  const small = make("img", { src: data.pictures[image], alt: "" });
  const button = make("button", { type: "button", className: "picture-button", ariaLabel: `Enlarge image ${id}`, title: id });
  button.append(small);
  button.addEventListener("click", () => enlarge(image));
  return button;
}

function chips(image) {
  const names = (data.labels[image] || []).map((label) => make("span", { textContent: data.classes[label] }));
  return make("div", { className: "chips" }, ...names);
}

function subject(way, row) {
  if (way === "i2t") {
    const own = captionsOf[row].map((caption) => make("li", { textContent: data.captions[caption] }));
    return make("div", { className: "subject" }, picture(row), make("ul", {}, ...own), chips(row));
  }
  const image = data.owners[row];
  const truth = make("div", { className: "truth" }, "matching image", picture(image));
  return make("div", { className: "subject" }, make("div", { className: "words" }, data.captions[row], chips(image)), truth);
}

function rankText(run, way, position) {
  const rank = data.runs[run].ranks[way][position];
  if (rank !== null) return `rank ${rank.toLocaleString("en")}`;
  const { candidates } = data.runs[run];
  return candidates ? `not among the ${candidates} candidates` : "no relevant item";
}

function hit(way, query, item, place) {
  const kind = kindOf(way, query, item);
  const name = { match: "matching pair", related: "shares a category", "": "non-relevant" }[kind];
  const sign = { match: "✓", related: "≈", "": "×" }[kind];
  if (way === "t2i") {
    const under = make("div", { className: "place", title: name, textContent: kind ? `${place} ${sign}` : place });
    return make("li", { className: kind }, picture(item), under);
  }
  const mark = make("span", { className: `mark ${kind}`, title: name, textContent: sign });
  return make("li", { className: kind }, mark, make("span", { className: "words", textContent: data.captions[item] }));
}

function found(run, way, position) {
  const query = data.queries[way][position];
  const items = data.runs[run].items[way][position].filter((item) => item >= 0);
  const isFound = rankOf(run, way, position) <= Number(value("#cut"));
  const rank = make("span", { className: isFound ? "hit" : "", textContent: rankText(run, way, position) });
  const hits = items.map((item, number) => hit(way, query, item, number + 1));
  return make("section", { className: "run" }, make("h3", {}, data.runs[run].label, " ", rank),
    make("ol", { className: "found" }, ...hits));
}

function shownRuns() {
  const boxes = [...document.querySelectorAll("#shown input")];
  return boxes.length ? boxes.filter((box) => box.checked).map((box) => Number(box.value)) : [0];
}

function draw() {
  const way = direction();
  const runs = shownRuns();
  for (const position of chosen.slice(drawn, drawn + PAGE)) {
    const parts = runs.map((run) => found(run, way, position));
    const article = make("article", { tabIndex: -1 }, subject(way, data.queries[way][position]));
    article.append(make("div", { className: "runs" }, ...parts));
    $("#queries").append(article);
  }
  drawn = Math.min(drawn + PAGE, chosen.length);
  $("#more").hidden = drawn === chosen.length;
}

function step(by) {
  const articles = [...document.querySelectorAll("#queries article")];
  const current = articles.indexOf(document.activeElement.closest("#queries article"));
  if (current + by === articles.length && drawn < chosen.length) {
    draw();
    return step(by);
  }
  articles[Math.max(0, Math.min(current + by, articles.length - 1))]?.focus();
}

function later(call, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}

const search = later(choose, 120);
$("#controls").addEventListener("submit", (event) => event.preventDefault());
$("#controls").addEventListener("change", choose);
$("#text").addEventListener("input", search);
$("#more").addEventListener("click", draw);
$("#large").addEventListener("click", (event) => {
  if (event.target === $("#large")) $("#large").close();
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || $("#large").open) return;
  if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "/") {
    event.preventDefault();
    $("#text").focus();
  }
});

choose();
