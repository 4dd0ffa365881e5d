"""
What relaying costs: this relay beside nginx, HAProxy, Node and plain Python relays.

    make bench                                  # all of it, about 25 minutes
    make bench BENCH_ARGS=--quick               # a glance, about 3 minutes
    python -m bench --peers splice,nginx --loads quiet-200,handshakes --runs 1
    make bench-compare BASE=main HEAD=my-branch # two revisions of the relay, alternating

An upstream that echoes, the peer under test and a load generator are processes of their own, all on
loopback. The first and the last run picows on uvloop, which is fast enough that the peer is what is
measured. For each load the peers come one after the other, each freshly started, and all of it is
repeated; a cell is the median of the runs, a ratio the median of the ratios within each run.

The figure to look at is B{CPU per relayed message}: user and system time of the peer's process
tree, over messages counted both ways. It survives a noisy machine, where throughput does not.

What fails is counted and shown: C{!} marks a figure with connections refused, sessions lost or
messages unanswered, and what could not run says why.

The modules, from the outside in:

  - C{__main__}, C{compare}: the two commands
  - C{rounds}: starts one peer and one load, again and again
  - C{loads}, C{peers}: what is measured, and who
  - C{load}, C{client}, C{upstream}: the processes at both ends
  - C{children}, C{accounting}, C{machine}: processes, what they use, and what they run on
  - C{figures}, C{bars}, C{tables}, C{charts}: what becomes of the numbers

Beside it:

  - C{scale}, C{measured}: what so many sessions take, computed from these numbers
  - C{store}: what a fleet costs its Redis
  - C{storm}, C{crowd}, C{virtual}: many clients that come back at once, simulated
"""
