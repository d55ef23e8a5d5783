// Small things of the compare tab that need no server: `/` focuses the question, the marks on the answers are
// switched, and sentences and passages point at each other. Listeners sit on the document, as cards are redrawn.
window.chatView = (view) => { document.getElementById('columns').dataset.view = view; };
window.chatView('found');

// A new question: its answers come into view where they would begin far down, the first card first.
const asked = () => document.querySelector('#asked h2')?.textContent;
let shown = asked();
new MutationObserver(() => {
  if (asked() === shown) return;
  shown = asked();
  const row = document.getElementById('asked-row');
  document.getElementById('columns').scrollLeft = 0;
  if (row.getBoundingClientRect().top < window.innerHeight * 0.75) return;
  const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
  row.scrollIntoView({ block: 'start', behavior: calm ? 'auto' : 'smooth' });
}).observe(document.getElementById('asked'), { childList: true, subtree: true, characterData: true });

// A link with a question was filled in: ask it. A follow-up is asked as one.
window.chatAsk = () => {
  const link = new URLSearchParams(window.location.search);
  if (!link.get('q') || !['compare', null].includes(link.get('tab'))) return;
  document.querySelector(link.get('after') ? '#follow' : '#ask').click();
};

// The box holds the link as well: in a frame the browser may refuse the clipboard.
window.chatCopy = (link) => {
  const box = document.querySelector('#link input, #link textarea');
  if (box) { box.focus(); box.select(); }
  if (link && navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {});
};

window.chatSave = (text) => {
  if (!text) return;
  const file = JSON.parse(text);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([file.text], { type: file.type }));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};

const point = (number, on) => {
  for (const part of document.querySelectorAll(`[data-passage="${CSS.escape(number)}"]`)) part.classList.toggle('pointed', on);
};
const pointing = (on) => (event) => {
  const part = event.target.closest && event.target.closest('#tab-compare [data-passage], #columns [data-passage], #below [data-passage]');
  if (part) point(part.dataset.passage, on);
};
document.addEventListener('mouseover', pointing(true));
document.addEventListener('mouseout', pointing(false));
document.addEventListener('focusin', pointing(true));
document.addEventListener('focusout', pointing(false));

document.addEventListener('click', (event) => {
  const link = event.target.closest && event.target.closest('a.sentence');
  if (!link) return;
  event.preventDefault();
  const passage = document.getElementById(`read-${link.dataset.passage}`);
  if (!passage) return;
  passage.open = true;
  const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
  passage.scrollIntoView({ block: 'center', behavior: calm ? 'auto' : 'smooth' });
  passage.querySelector('summary').focus({ preventScroll: true });
});

document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest && event.target.closest('input, textarea, select, [contenteditable]')) return;
  const box = document.querySelector('#question textarea');
  if (box && box.offsetParent) { event.preventDefault(); box.focus(); box.select(); }
});
