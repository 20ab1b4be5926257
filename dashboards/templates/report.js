// Nothing is lost without this: ages by the reader's clock, and the index's search.
(() => {
  const span = (s) => s < 90 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.ceil(s / 60)} min`
    : s < 172800 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(1)} days`;
  const since = (time) => (Date.now() - Date.parse(time.dateTime)) / 1000;
  const tick = () => {
    for (const time of document.querySelectorAll("time[data-age]")) {
      const age = since(time);
      if (age < 0) continue;
      time.textContent = `${span(age)} ago`;
      time.parentElement.classList.toggle("old", age >= 86400);
    }
    for (const note of document.querySelectorAll("[data-now]")) {
      const age = since(note.previousElementSibling);
      if (age >= 0) note.textContent = ` (${span(age)} ago)`;
    }
  };
  // Grafana is where the page is served from; a file has none.
  if (location.protocol === "file:")
    for (const link of document.querySelectorAll("[data-grafana]")) link.remove();
  tick();
  setInterval(tick, 30000);
  const form = document.querySelector("form.find");
  if (form) {
    form.hidden = false;
    const groups = [...document.querySelectorAll("tbody")].map((body) =>
      [body, [...body.rows].slice(1).map((row) => [row, row.textContent.toLowerCase()])]);
    const find = () => {
      const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const verdict = form.verdict.value;
      let found = 0;
      for (const [body, rows] of groups) {
        let shown = 0;
        for (const [row, text] of rows) {
          const keeps = words.every((word) => text.includes(word)) &&
            (!verdict || row.cells[1].textContent === verdict);
          row.hidden = !keeps;
          shown += keeps;
        }
        body.hidden = !shown;
        found += shown;
      }
      form.found.value = words.length || verdict ? `${found} found` : "";
    };
    form.addEventListener("input", find);
    form.addEventListener("submit", (event) => event.preventDefault());
    find();
  }
})();
