// The maps, a plot of plotly each, so that one that moves draws itself alone; a browser grants contexts for five.
const GAP = 14;
const size = count <= 400 ? 9 : count <= 2500 ? 6 : count <= 8000 ? 4.5 : 3.5;
const columns = () => (window.innerWidth <= 640 ? 1 : panels.length <= 4 ? panels.length : 3);
const plots = [], heads = [], overs = [];

function drawable() {
  const gl = document.createElement('canvas').getContext('webgl');
  const lose = gl && gl.getExtension('WEBGL_lose_context');
  if (lose) lose.loseContext();
  return !!gl;
}
const webgl = drawable();

const arrange = () => { by('stage').style.gridTemplateColumns = `repeat(${columns()}, minmax(0, 1fr))`; };

function build() {
  arrange();
  by('stage').replaceChildren(...panels.map((_, i) => {
    const panel = element('div', 'panel'), body = element('div', 'body');
    heads[i] = element('div', 'head');
    plots[i] = element('div', 'plot');
    overs[i] = element('canvas', 'over');
    body.append(plots[i], overs[i]);
    panel.append(heads[i], body);
    return panel;
  }));
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const settings = {displayModeBar: false, scrollZoom: true, doubleClick: false, showTips: false, plotGlPixelRatio: ratio};
  return Promise.all(panels.map((p, i) => Plotly.newPlot(plots[i], [trace(p)], layout(p), settings)));
}

function extent() {
  const across = columns(), lines = Math.ceil(panels.length / across);
  const width = Math.floor((by('stage').clientWidth - (across - 1) * GAP) / across) - 2; // of borders
  return {width, height: lines > 1 ? 300 : Math.round(Math.max(330, Math.min(560, window.innerHeight * 0.5)))};
}

function layout(panel) {
  const axis = {
    showticklabels: false, ticks: '', zeroline: false, gridcolor: '#eef0f4', linecolor: '#dfe3ea', mirror: true, showline: true,
  };
  return {
    ...extent(), margin: {l: 1, r: 1, t: 1, b: 1, pad: 0}, showlegend: false, hovermode: 'closest', hoverdistance: 10,
    dragmode: 'lasso', paper_bgcolor: '#fff', plot_bgcolor: '#fff',
    newselection: {line: {color: '#1d2430', width: 1.2, dash: 'solid'}},
    xaxis: {...axis, range: span(panel.x)}, yaxis: {...axis, range: span(panel.y)},
  };
}

function span(values) {
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  const more = Math.max(high - low, 1e-9) * 0.05;
  return [low - more, high + more];
}

function painted(panel) {
  const label = labels[state.label], many = look.shapes.length > 1 && label.kind === 'classes' && label.classes.length > look.palette.length;
  return {
    color: Array.from(panel.rows, (row) => shade(label, row)),
    symbol: many ? Array.from(panel.rows, (row) => shape(label.codes[row])) : 'circle',
  };
}

function trace(panel) {
  return {
    type: webgl ? 'scattergl' : 'scatter', mode: 'markers', x: panel.x, y: panel.y, hoverinfo: 'none',
    marker: {size, opacity: 0.8, line: {width: 0}, ...painted(panel)},
    selected: {marker: {opacity: 0.95}}, unselected: {marker: {opacity: 0.07}},
  };
}

const each = (change) => Promise.all(panels.map((p, i) => change(p, plots[i])));

const paint = () => each((p, plot) => {
  const {color, symbol} = painted(p);
  return Plotly.restyle(plot, {'marker.color': [color], 'marker.symbol': [symbol]});
});

// The same samples in every panel; the outline that was drawn goes, for it is of one panel alone.
const mark = () => each((p, plot) => {
  const points = [];
  if (state.selected) p.rows.forEach((row, k) => { if (state.selected[row]) points.push(k); });
  return Plotly.update(plot, {selectedpoints: [state.selected ? points : null]}, {selections: []});
});

const drag = (tool) => each((p, plot) => Plotly.relayout(plot, {dragmode: tool}));
const whole = () => each((p, plot) => Plotly.relayout(plot, {'xaxis.range': span(p.x), 'yaxis.range': span(p.y)}));
const resize = () => {
  arrange();
  return each((p, plot) => Plotly.relayout(plot, extent())).then(rings);
};

function titles() {
  const label = labels[state.label];
  panels.forEach((p, i) => {
    const first = element('div'), gone = count - p.rows.length;
    const score = Object.hasOwn(p.scores, label.name) ? p.scores[label.name] : '';
    first.append(element('b', '', p.name), element('span', 'score', score));
    const facts = `${p.width} dimensions · ${p.ends.join(', ')}${gone ? ` · ${number(gone)} lack it` : ''}`;
    heads[i].replaceChildren(first, element('div', 'soft', facts));
  });
}
