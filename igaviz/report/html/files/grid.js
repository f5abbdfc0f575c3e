// Layers × heads at one step: a table of buttons, by verdict or by a metric.
const VERDICT = 'verdict';

function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function mixed(stops, share) {
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [channels(stops[low]), channels(stops[low + 1])];
  return a.map((part, i) => Math.round(part + (b[i] - part) * (place - low)));
}

// Black or white, whichever stands out more: at a luminance of 0.179 both have a contrast of 4.58.
function inkOn(rgb) {
  const [r, g, b] = rgb.map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000000' : '#ffffff';
}

function stopsOf(scale, palette) {
  if (scale.log || scale.low >= 0) return palette.maps.Reds;
  return scale.high <= 0 ? palette.maps.Blues_r : palette.maps.RdBu_r;
}

function shareOf(scale, value) {
  if (scale.log) return Math.log(value / scale.low) / Math.log(scale.high / scale.low);
  return (value - scale.low) / (scale.high - scale.low);
}

// Texts are laid out anew where they change: those that don't show stay empty.
function write(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

function paintVerdict(cell, verdict, palette) {
  const severity = verdict?.severity ?? 'none';
  const colour = palette.verdicts[severity] ?? palette.inks.faint;
  write(cell, verdict ? data.glyphs[severity] : '');
  const sick = severity === 'error' || severity === 'warning';
  const base = channels(palette.inks.paper);
  const rgb = channels(colour).map((part, i) => Math.round(part * (sick ? 1 : 0.14) + base[i] * (sick ? 0 : 0.86)));
  cell.style.backgroundColor = `rgb(${rgb})`;
  cell.style.color = sick ? inkOn(rgb) : colour;
}

function paintMetric(cell, metric, value, palette) {
  const text = wordless ? '' : short(value);
  write(cell, text === 'beyond' ? '∞' : text);
  const rgb = mixed(stopsOf(metric.scale, palette), shareOf(metric.scale, Number.isNaN(value) ? 0 : value));
  cell.style.backgroundColor = `rgb(${rgb})`;
  cell.style.color = Number.isNaN(value) ? '' : inkOn(rgb);
}

// What a cell says to who can't see its colour, or doesn't know what it stands for.
function sayCell(state, row, column) {
  const run = data.runs[state.run];
  const metric = metricByName.get(state.metric);
  const said = wordsOf(verdictOf(state.run, state.step, row, column));
  const name = `layer ${run.layers[row]}, head ${run.heads[column]}`;
  if (!metric) return `${name}: ${said}`;
  const value = valueOf(state.run, metric.name, state.step, row, column);
  const unit = Number.isFinite(value) && metric.unit ? ` ${metric.unit}` : '';
  return `${name}: ${metric.title} ${Number.isNaN(value) ? 'not recorded' : short(value) + unit}; ${said}`;
}

function wordsOf(verdict) {
  if (!verdict) return 'not recorded';
  return verdict.check ? `${verdict.severity}, ${verdict.check} ${verdict.words}` : verdict.words;
}

let cells = [];
let wordless = false; // whether cells are too narrow for a number

function buildGrid(state, choose) {
  const run = data.runs[state.run];
  const pictured = new Set(pictures.filter((p) => p.run === state.run).map((p) => `${p.layer} ${p.head}`));
  const table = element('table', { className: 'grid' });
  table.append(element('caption', { className: 'quiet' }, 'One button per head: rows are layers, columns are heads.'));
  const top = element('tr', {}, element('th', { scope: 'col' }, 'layer \\ head'));
  for (const head of run.heads) top.append(element('th', { scope: 'col' }, String(head)));
  table.append(element('thead', {}, top));
  const body = element('tbody');
  cells = run.layers.map((layer, row) => {
    const made = run.heads.map((head, column) => {
      const cell = element('button', { type: 'button', className: 'cell', tabIndex: -1 });
      Object.assign(cell.dataset, { row, column });
      cell.classList.toggle('pictured', pictured.has(`${layer} ${head}`));
      cell.addEventListener('click', () => choose(row, column));
      for (const event of ['mouseenter', 'focus']) cell.addEventListener(event, () => pointAt(state, row, column));
      return cell;
    });
    body.append(element('tr', {}, element('th', { scope: 'row' }, String(layer)), ...made.map((cell) => element('td', {}, cell))));
    return made;
  });
  table.append(body);
  table.addEventListener('keydown', (event) => moveFocus(event, run));
  table.addEventListener('mouseleave', () => pointAt(state, state.row, state.column));
  document.getElementById('grid').replaceChildren(table);
  fitGrid();
}

// Cells too narrow for a number show it below the grid alone, when they are pointed at. Says whether
// they are so now and were not before, or the other way round.
function fitGrid() {
  const holder = document.getElementById('grid');
  const room = (holder.clientWidth - 78) / cells[0].length;
  const many = cells.length > 16;
  const before = wordless;
  wordless = room < 36;
  holder.classList.toggle('low', many && !wordless);
  holder.classList.toggle('compact', wordless);
  holder.classList.toggle('tiny', room < 18 || (many && wordless));
  thinLabels(holder, room);
  return wordless !== before;
}

// Of many heads every second, fifth or tenth is numbered: as many as there is room for.
function thinLabels(holder, room) {
  const every = [1, 2, 5, 10, 20, 50].find((n) => n * room >= 22) ?? 100;
  holder.querySelectorAll('thead th').forEach((label, place) => {
    label.classList.toggle('thinned', place > 0 && (place - 1) % every !== 0);
  });
}

function pointAt(state, row, column) {
  document.getElementById('said').textContent = sayCell(state, row, column);
}

function cellAt(row, column) {
  return cells[row]?.[column];
}

function moveFocus(event, run) {
  if (!event.target.classList.contains('cell')) return;
  const [rows, columns] = [run.layers.length - 1, run.heads.length - 1];
  let [row, column] = [Number(event.target.dataset.row), Number(event.target.dataset.column)];
  if (event.key === 'ArrowUp') row -= 1;
  else if (event.key === 'ArrowDown') row += 1;
  else if (event.key === 'ArrowLeft') column -= 1;
  else if (event.key === 'ArrowRight') column += 1;
  else if (event.key === 'Home') [row, column] = [event.ctrlKey ? 0 : row, 0];
  else if (event.key === 'End') [row, column] = [event.ctrlKey ? rows : row, columns];
  else return;
  event.preventDefault();
  event.target.tabIndex = -1;
  const next = cellAt(Math.min(Math.max(row, 0), rows), Math.min(Math.max(column, 0), columns));
  next.tabIndex = 0;
  next.focus();
}

function paintGrid(state, palette) {
  const metric = metricByName.get(state.metric);
  document.getElementById('grid').classList.toggle('signs', !metric);
  const focused = document.activeElement?.closest?.('.cell');
  cells.forEach((line, row) => line.forEach((cell, column) => {
    const verdict = verdictOf(state.run, state.step, row, column);
    const value = metric ? valueOf(state.run, metric.name, state.step, row, column) : 0;
    if (metric) paintMetric(cell, metric, value, palette);
    else paintVerdict(cell, verdict, palette);
    cell.classList.toggle('gone', metric ? Number.isNaN(value) : !verdict);
    const chosen = String(row === state.row && column === state.column);
    if (cell.getAttribute('aria-pressed') !== chosen) cell.setAttribute('aria-pressed', chosen);
    if (!focused) cell.tabIndex = chosen === 'true' ? 0 : -1;
  }));
  pointAt(state, state.row, state.column);
}

function nameCells(state) {
  cells.forEach((line, row) => line.forEach((cell, column) => {
    const picture = cell.classList.contains('pictured') ? '; figures in this page' : '';
    cell.setAttribute('aria-label', sayCell(state, row, column) + picture);
  }));
}

function paintLegend(state, palette) {
  const metric = metricByName.get(state.metric);
  const legend = document.getElementById('legend');
  const marked = element('span', { className: 'marked' }, element('span', { className: 'mark' }), ' has figures here');
  document.getElementById('means').textContent = metric
    ? `${titleOf(metric)}: ${metric.means.replaceAll('`', '')}. Mean over the batch items.`
    : 'The verdict on each head: the worst check that it shows, as severe as the share of its layer\'s heads makes it.';
  const shown = metric ? rampOf(metric.scale, palette) : Object.entries(data.glyphs).map(([severity, glyph]) => {
    const sign = element('span', {}, `${glyph} ${data.labels[severity]}`);
    sign.style.color = palette.verdicts[severity] ?? palette.inks.faint;
    return sign;
  });
  legend.replaceChildren(...shown, ...(document.querySelector('.cell.pictured') ? [marked] : []));
}

function rampOf(scale, palette) {
  const ramp = element('span', { className: 'ramp' });
  ramp.style.background = `linear-gradient(to right, ${stopsOf(scale, palette).join(', ')})`;
  const wide = scale.log ? ', log scale' : '';
  return [
    element('span', { className: 'ends' }, short(scale.low), ramp, short(scale.high)),
    element('span', {}, `one scale for all runs and steps${wide}; beyond it the end's colour`),
  ];
}
