// Draws every figure from the data in the page, in the colours of the style sheet, and again when those change.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 600px)");
  const chosen = new Map();

  // Values of these keys are names of colours; names of classes are never looked at.
  const COLOUR_KEYS = new Set(["color", "colorscale", "bgcolor"]);
  const coloured = (value, key, style) => {
    if (Array.isArray(value)) return value.map((part) => coloured(part, key, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, k, style)]));
    }
    const isName = COLOUR_KEYS.has(key) && typeof value === "string" && value.startsWith("--");
    return isName ? style.getPropertyValue(value).trim() : value;
  };

  const axis = (given, style) => ({
    gridcolor: style.getPropertyValue("--line"), linecolor: style.getPropertyValue("--line"),
    zerolinecolor: style.getPropertyValue("--line"), fixedrange: true, automargin: true, ...given,
  });

  // A dot that stands for a photo shows it while the pointer is on it.
  const showPhotos = (place) => {
    if (place.dataset.photos || !place.data.some((trace) => trace.mode === "markers" && trace.customdata)) return;
    place.dataset.photos = "yes";
    const peek = place.appendChild(document.createElement("div"));
    peek.className = "peek";
    place.on("plotly_hover", ({ points: [point], event }) => {
      const symbol = document.getElementById(`photo-${point.customdata}`);
      if (!symbol) return;
      peek.innerHTML = `<svg viewBox="0 0 100 100"><use href="#${symbol.id}" width="100" height="100"/></svg>`;
      const frame = place.getBoundingClientRect();
      const x = Math.min(event.clientX - frame.left + 14, frame.width - 120);
      peek.style.left = `${Math.max(0, x)}px`;
      peek.style.top = `${event.clientY - frame.top + 26}px`;
      peek.style.display = "block";
    });
    place.on("plotly_unhover", () => { peek.style.display = "none"; });
  };

  const draw = (figure) => {
    const style = getComputedStyle(root);
    const choice = figure.choices[chosen.get(figure.id) ?? figure.first];
    const text = style.getPropertyValue("--text").trim();
    const panel = style.getPropertyValue("--panel").trim();
    const given = coloured(choice.layout, "", style);
    const layout = {
      autosize: true, dragmode: false, hovermode: "closest", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: text },
      margin: { l: 10, r: 14, t: 10, b: 40 },
      hoverlabel: { bgcolor: panel, bordercolor: text, font: { color: text } },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
      ...given, xaxis: axis(given.xaxis, style), yaxis: axis(given.yaxis, style),
    };
    const place = document.getElementById(figure.id);
    const data = coloured(choice.data, "", style);
    if (narrow.matches) {
      // The data need the room: what the scale and the title of the axis say stands below the figure, too.
      data.forEach((trace) => { trace.showscale = false; });
      delete layout.yaxis.title;
    }
    Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
    showPhotos(place);
  };

  const drawAll = () => figures.forEach(draw);
  for (const select of document.querySelectorAll("select[data-of]")) {
    const figure = figures.find((known) => known.id === select.dataset.of);
    select.addEventListener("change", () => {
      chosen.set(figure.id, Number(select.value));
      draw(figure);
    });
  }
  for (const query of [dark, narrow]) query.addEventListener("change", drawAll);
  drawAll();
})();
