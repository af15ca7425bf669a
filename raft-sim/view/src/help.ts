// The keys and the signs.

export const HELP = `
<h1>Keys</h1>
<table>
<tr><td>← →</td><td>previous, next event (those that the filter shows)</td></tr>
<tr><td>Shift ← →</td><td>a tenth of the screen back or on</td></tr>
<tr><td>Space, Shift Space</td><td>play, play backwards; again to stop</td></tr>
<tr><td>+ −, wheel</td><td>show less or more time; Shift with the wheel, or drag: move</td></tr>
<tr><td>Home, End</td><td>the beginning, the end</td></tr>
<tr><td>V</td><td>the violation</td></tr>
<tr><td>C</td><td>the past of the event at the cursor: all that happened before it</td></tr>
<tr><td>G</td><td>the event that caused the one at the cursor</td></tr>
<tr><td>N</td><td>the next role change; Shift N: the previous one</td></tr>
<tr><td>H</td><td>heartbeats: shown or not</td></tr>
<tr><td>/</td><td>search the trace; Enter: the next one found</td></tr>
<tr><td>T</td><td>light or dark</td></tr>
<tr><td>Escape</td><td>select nothing</td></tr>
</table>
<h1>Signs</h1>
<table>
<tr><td>colour</td><td>the term; the number stands beside it</td></tr>
<tr><td>lane</td><td>thick: leader (L); striped: candidate (C) or pre-candidate (P); thin: follower (F); hatched: down</td></tr>
<tr><td>arrow</td><td>a message; dashed with a cross: lost, damaged, or nobody received it; thick with long dashes: late, over five
times the median and at least 1 ms; 2×: the second copy</td></tr>
<tr><td>▸ ✕ on a lane</td><td>a process starts, ends</td></tr>
<tr><td>bars below</td><td>clients' operations from request to answer; striped: not answered, or given up</td></tr>
</table>
<p>The real core and the simulator run in this page. The digest is that of the trace: the same run has the same
digest on every machine. The address of the page holds the instant (#t=1.5), so it can be sent to others with the file.</p>
`;
