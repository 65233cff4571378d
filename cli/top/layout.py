"""How gator top looks, in the terminal's own colours, and what its keys are."""

from __future__ import annotations

CSS = """
Screen { layout: vertical; overflow: hidden; }
Static { height: auto; }
Listing { height: auto; scrollbar-size: 1 1; overflow-x: hidden; }
Listing > .datatable--header, Listing:focus > .datatable--header {
    background: ansi_default; color: ansi_default; text-style: underline; }
Listing > .datatable--cursor {
    background: ansi_default; color: ansi_default; text-style: bold; }
Listing:focus > .datatable--cursor {
    background: ansi_default; color: ansi_default; text-style: reverse; }
.caption { text-style: bold; height: 1; }
#queues { max-height: 30%; }
#workers { max-height: 22%; }
#tasks { height: 1fr; min-height: 3; }
#filter { height: 1; border: none; padding: 0; }
#status { max-height: 3; }
Reading, Question { background: ansi_default; }
Reading VerticalScroll { height: 1fr; scrollbar-size: 1 1; }
Question { align: center middle; }
Question Vertical { width: 80%; height: auto; border: round ansi_default; padding: 0 1; }
"""

#: What the last line says.
KEYS = {
    "⏎": "look",
    "r": "retry",
    "c": "cancel",
    "d": "drop",
    "p": "pause",
    "s": "state",
    "/": "filter",
    "u": "update",
    "?": "help",
    "q": "quit",
}

#: What ? shows.
HELP = """
tab      the next table: queues, workers, tasks
↑ ↓      the row above or below
← →      the queue before or after this one
⏎        all about the task, queue or worker under the
         cursor
r        retry the task under the cursor
c        cancel it: take it off its queue; asks first
d        drop it, or all tasks of the queue in this state;
         asks first
p        pause the queue, or resume it
s S      tasks in the next state, or in the one before
/        only tasks with this text in their name or last
         error, of the first 200, or newest failed ones
esc      all of them again
u        look again now
q        quit
ctrl-c   quit, with exit code 130
""".strip().splitlines()
