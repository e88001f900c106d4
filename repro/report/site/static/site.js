// Adds to a page what it can do without: filters, sorting, Escape, a link to copy.
"use strict";
(function () {
  const one = (query, of) => (of || document).querySelector(query);
  const all = (query, of) => Array.from((of || document).querySelectorAll(query));
  const tools = one(".tools");
  const boxes = { ours: one("#tool-ours"), unrun: one("#tool-unrun"), claims: one("#tool-claims") };
  const field = one("#tool-text");
  const by = one("#tool-by");
  let came = null; // the cell that was opened last

  // The address: "#place;key=value;…". What filters say stands behind the place.
  function address() {
    const [place, ...parts] = decodeURIComponent(location.hash.slice(1)).split(";");
    return { place, state: new Map(parts.map((part) => part.split("="))) };
  }

  function states() {
    const said = [];
    if (!tools) return said;
    if (!boxes.ours.checked) said.push("ours=0");
    if (!boxes.unrun.checked) said.push("unrun=0");
    if (boxes.claims.checked) said.push("claims=1");
    if (by.value !== "p") said.push("by=" + by.value);
    if (field.value) said.push("text=" + encodeURIComponent(field.value));
    all("th[aria-sort]").forEach((head) => {
      said.push("sort=" + head.closest("table").id + "," + head.cellIndex + "," + head.getAttribute("aria-sort")[0]);
    });
    return said;
  }

  function write(place) {
    const said = states();
    location.replace("#" + place + (said.length ? ";" + said.join(";") : ""));
  }

  function filter() {
    const word = field.value.trim().toLowerCase();
    let shown = 0, rows = 0;
    all("table.results tbody tr").forEach((row) => {
      const hide =
        (!boxes.ours.checked && row.classList.contains("ours")) ||
        (!boxes.unrun.checked && row.classList.contains("unrun")) ||
        (boxes.claims.checked && !row.classList.contains("claimed")) ||
        (word && !one("th", row).textContent.toLowerCase().includes(word));
      row.hidden = Boolean(hide);
      rows += 1;
      shown += hide ? 0 : 1;
    });
    all("table.results").forEach((table) => {
      table.parentElement.hidden = !all("tbody tr", table).some((row) => !row.hidden);
    });
    one("#tool-said").textContent = shown < rows ? shown + " of " + rows + " rows" : "";
  }

  function value(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    if (!cell.matches("[data-p], [data-o]")) return cell.textContent.trim();
    return cell.dataset[cell.matches("[data-p]") ? by.value : "o"] || "";
  }

  function sort(table, column, way) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.forEach((row, n) => { if (!row.dataset.n) row.dataset.n = String(n + 1); });
    const sign = way === "descending" ? -1 : 1;
    rows.sort((a, b) => {
      if (!way) return a.dataset.n - b.dataset.n;
      const [x, y] = [value(a, column), value(b, column)];
      if (x === "" || y === "") return (x === "") - (y === "") || a.dataset.n - b.dataset.n;
      const numbers = !isNaN(x) && !isNaN(y);
      return sign * (numbers ? x - y : x.localeCompare(y)) || a.dataset.n - b.dataset.n;
    });
    all("th[aria-sort]", table).forEach((head) => head.removeAttribute("aria-sort"));
    if (way) table.tHead.rows[table.tHead.rows.length - 1].cells[column].setAttribute("aria-sort", way);
    body.append(...rows);
  }

  function sortable(table) {
    const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
    Array.from(heads).forEach((head, column) => {
      if (one(".vh", head)) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { "": "descending", descending: "ascending", ascending: "" };
        sort(table, column, next[head.getAttribute("aria-sort") || ""]);
        if (tools) write(address().place);
      });
    });
  }

  function opened() {
    return all(".detail").find((panel) => getComputedStyle(panel).display !== "none");
  }

  // Shows the panel of a place, also where the address goes on behind it and :target fails.
  function show() {
    const { place } = address();
    const target = place ? document.getElementById(place) : null;
    all(".detail.open, tr.here").forEach((element) => element.classList.remove("open", "here"));
    const panel = target && target.closest(".detail");
    if (panel) {
      panel.classList.add("open");
      if (target !== panel) target.classList.add("here");
      if (!one("button.copy", panel)) equip(panel);
      panel.focus({ preventScroll: true });
      if (target.offsetTop + target.offsetHeight < panel.clientHeight / 2) panel.scrollTop = 0;
    } else if (target) {
      const inside = target.closest("details");
      if (inside) inside.open = true;
      if (location.hash.includes(";")) target.scrollIntoView();
    }
  }

  function equip(panel) {
    const close = one(".close", panel);
    const buttons = document.createElement("span");
    const copy = document.createElement("button");
    buttons.className = "buttons";
    copy.className = "copy";
    copy.type = "button";
    copy.textContent = "Copy link";
    close.replaceWith(buttons);
    buttons.append(copy, close);
    copy.addEventListener("click", () => {
      const done = () => { copy.textContent = "Copied"; };
      const not = () => { copy.textContent = "Copy the address above"; };
      if (navigator.clipboard) navigator.clipboard.writeText(location.href).then(done, not);
      else not();
    });
    close.addEventListener("click", (event) => { event.preventDefault(); shut(panel); });
  }

  function shut(panel) {
    const [x, y] = [scrollX, scrollY];
    const back = came && came.isConnected ? came : one('a[href="#' + CSS.escape(panel.id) + '"]');
    write(decodeURIComponent(one(".close", panel).hash.slice(1)));
    show();
    scrollTo(x, y);
    const cell = back || one('td a[href^="#' + CSS.escape(panel.id) + '/"]');
    if (cell) cell.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest(".results td a");
    if (!link) return;
    came = link;
    if (states().length) { event.preventDefault(); write(decodeURIComponent(link.hash.slice(1))); }
  });
  document.addEventListener("keydown", (event) => {
    const panel = event.key === "Escape" && opened();
    if (panel) shut(panel);
  });
  addEventListener("hashchange", show);
  addEventListener("beforeprint", () => all("details:not(.settings)").forEach((part) => { part.open = true; }));

  all("table[data-sortable]").forEach(sortable);
  if (tools) {
    tools.hidden = false;
    tools.addEventListener("submit", (event) => event.preventDefault());
    const { place, state } = address();
    boxes.ours.checked = state.get("ours") !== "0";
    boxes.unrun.checked = state.get("unrun") !== "0";
    boxes.claims.checked = state.get("claims") === "1";
    by.value = state.get("by") || "p";
    field.value = decodeURIComponent(state.get("text") || "");
    const [id, column, way] = (state.get("sort") || "").split(",");
    const table = id && document.getElementById(id);
    if (table && table.tHead) sort(table, Number(column), way === "d" ? "descending" : "ascending");
    filter();
    const changed = () => { filter(); write(address().place || place); };
    [...Object.values(boxes), field].forEach((input) => input.addEventListener("input", changed));
    by.addEventListener("input", () => {
      all("th[aria-sort]").forEach((head) => sort(head.closest("table"), head.cellIndex, head.getAttribute("aria-sort")));
      write(address().place);
    });
  }
  show();
})();
