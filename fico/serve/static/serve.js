"use strict";
// A query is what is sent to each column: {type, body} of a request, and how the page shows it.

const $ = (selector, within = document) => within.querySelector(selector);
const columns = [...document.querySelectorAll(".column")].map((node) => ({ node, request: null }));
const slider = $("#k");
let query = null;

function make(tag, values = {}, ...children) {
  const node = Object.assign(document.createElement(tag), values);
  node.append(...children);
  return node;
}

function say(node, text) {
  node.textContent = text || "";
  node.hidden = !text;
}

function stored(kind, row, shown) {
  return { type: "application/json", body: JSON.stringify({ [kind]: row }), shown };
}

function picture(address, name) {
  return address
    ? make("img", { className: "picture", src: address, alt: name, loading: "lazy" })
    : make("span", { className: "gone", textContent: name });
}

function queryOf(hit) {
  return hit.kind === "image"
    ? stored("image", hit.row, picture(hit.picture, hit.id))
    : stored("caption", hit.row, document.createTextNode(hit.caption));
}

function showMatching(items) {
  const shown = items.map((item) => (item.kind === "image" ? picture(item.picture, item.id) : item.caption));
  const list = shown.map((content) => make("li", {}, content));
  $("#matching").hidden = !list.length;
  $("#matching ul").replaceChildren(...list);
}

function showHit(hit) {
  const isImage = hit.kind === "image";
  const content = isImage ? picture(hit.picture, hit.id) : hit.caption;
  const button = make("button", { type: "button", className: "hit", title: `${hit.id}: search with it` }, content);
  button.disabled = hit.row === null || (isImage && !hit.picture);
  button.addEventListener("click", () => start(queryOf(hit)));
  const mark = hit.matches ? [make("span", { className: "mark match", title: "matches the query", textContent: "✓" })] : [];
  const rank = make("span", { className: "place", textContent: hit.rank });
  const score = make("span", { className: "score", textContent: hit.score });
  const item = make("li", { className: hit.matches ? "match" : "" });
  const name = make("div", { className: "name", textContent: hit.id });
  if (isImage) item.append(button, make("div", { className: "under" }, rank, ...mark, score), name);
  else item.append(rank, ...mark, make("span", { className: "words" }, button), score);
  return item;
}

function showAnswer(node, answer) {
  const times = Object.entries(answer.times || {}).map(([step, time]) => `${step} ${time}`);
  $(".times", node).textContent = times.join(", ");
  say($(".error", node), answer.error);
  say($(".first", node), answer.rank);
  say($(".unknown", node), answer.unknown?.length ? `unknown words: ${answer.unknown.join(", ")}` : "");
  const hits = answer.hits || [];
  $(".first", node).classList.toggle("match", hits.some((hit) => hit.matches));
  node.classList.toggle("t2i", hits[0]?.kind === "image");
  node.classList.toggle("i2t", hits[0]?.kind === "caption");
  $("ol.found", node).replaceChildren(...hits.map(showHit));
}

async function search(column) {
  column.request?.abort();
  const request = (column.request = new AbortController());
  column.node.setAttribute("aria-busy", "true");
  let answer;
  try {
    const address = `/search/${column.node.dataset.column}?candidates=${slider ? slider.value : 1}`;
    const headers = { "Content-Type": query.type };
    const response = await fetch(address, { method: "POST", headers, body: query.body, signal: request.signal });
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") return;
    answer = { error: "no answer; is fico serve still running?" };
  }
  if (column.request !== request) return;
  if (answer.matching) showMatching(answer.matching);
  showAnswer(column.node, answer);
  column.node.removeAttribute("aria-busy");
}

function start(next) {
  query = next;
  $("#chosen").replaceChildren(query.shown.cloneNode(true));
  $("#chosen").hidden = false;
  $("#matching").hidden = true;
  columns.forEach(search);
  $("#chosen").scrollIntoView({ block: "nearest" });
}

async function offer() {
  const sample = await (await fetch("/sample")).json();
  const words = sample.captions.map(({ row, text }) => {
    const button = make("button", { type: "button", textContent: text });
    button.addEventListener("click", () => start(stored("caption", row, document.createTextNode(text))));
    return make("li", {}, button);
  });
  const images = sample.images.map(({ row, id, picture: address }) => {
    const button = make("button", { type: "button", className: "hit", title: id }, picture(address, id));
    button.addEventListener("click", () => start(stored("image", row, picture(address, id))));
    return make("li", {}, button);
  });
  $("#captions").replaceChildren(...words);
  $("#images").replaceChildren(...images);
}

function later(call, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}

$("#query").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("#text").value.trim();
  if (text) start({ type: "application/json", body: JSON.stringify({ text }), shown: document.createTextNode(text) });
});

$("#file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) start({ type: file.type || "image/*", body: file, shown: picture(URL.createObjectURL(file), file.name) });
  event.target.value = ""; // so that the same file can be chosen again
});

$("#others").addEventListener("click", offer);

if (slider) {
  const rerank = later(() => {
    if (query) columns.filter(({ node }) => node.dataset.stage === "re-ranked").forEach(search);
  }, 150);
  slider.addEventListener("input", () => {
    $("#candidates output").textContent = slider.value;
    rerank();
  });
}

offer();
