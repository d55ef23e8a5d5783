"""What the browser does by itself in the evaluation tab."""

OPENS = """element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-question]');
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  trigger('click', {question: row.dataset.question});
});"""
"""A click in a row opens its question; with a key held down, its link opens as any link does."""
FOLLOW = """() => {
  const open = document.querySelector('#eval-detail [data-id]');
  for (const row of document.querySelectorAll('#eval-questions tr[data-question]')) {
    const here = open && row.dataset.question === open.dataset.id;
    row.toggleAttribute('aria-current', here);
    if (here) { const box = row.closest('.ev-tall'); box.scrollTop = row.offsetTop - box.clientHeight / 2; }
  }
  if (!open) return;
  document.getElementById('eval-steps').scrollIntoView();
  open.querySelector('h3').focus({preventScroll: true});
}"""
"""Shows in the table which question is open, and brings it into view."""
COPY = "(link) => { try { navigator.clipboard.writeText(link).catch(() => {}) } catch { } }"
"""Puts the link into the clipboard where the browser lets a page do that; the box with it stays."""
