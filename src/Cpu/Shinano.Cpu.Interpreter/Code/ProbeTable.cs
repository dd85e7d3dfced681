using System.Collections.Concurrent;
using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>The probes of a domain by frame. Changed under the code cache's gate, read by any thread.</summary>
internal sealed class ProbeTable(CodeCache code)
{
    private readonly ConcurrentDictionary<ulong, FrameProbes> _frames = [];
    private int _count;

    /// <summary>Probes that are set.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>The probes of a frame; null when it has none.</summary>
    public FrameProbes? Of(ulong frame) => Count != 0 && _frames.TryGetValue(frame, out FrameProbes? found) ? found : null;

    public bool Contains(ulong physical) => Of(physical >> GuestMemory.PageShift)?.Contains(OffsetOf(physical)) ?? false;

    /// <inheritdoc cref="ICpuEngine.SetProbe"/>
    public bool Set(ulong physical)
    {
        lock (code.Gate)
        {
            if (!code.Memory.IsRam(physical >> GuestMemory.PageShift))
            {
                return false;
            }

            if (Change(physical, true))
            {
                code.DropAt(physical, true);
            }

            return true;
        }
    }

    /// <inheritdoc cref="ICpuEngine.ClearProbe"/>
    public bool Clear(ulong physical)
    {
        lock (code.Gate)
        {
            if (!Change(physical, false))
            {
                return false;
            }

            code.DropAt(physical, false);
            return true;
        }
    }

    /// <returns>Whether that changed anything.</returns>
    private bool Change(ulong physical, bool set)
    {
        ulong frame = physical >> GuestMemory.PageShift;
        FrameProbes? probes = _frames.GetValueOrDefault(frame);
        if (probes is null)
        {
            if (!set)
            {
                return false;
            }

            _frames[frame] = probes = new FrameProbes(frame);
        }

        if (!probes.Change(OffsetOf(physical), set))
        {
            return false;
        }

        if (probes.Count == 0)
        {
            _frames.TryRemove(frame, out _);
        }

        Volatile.Write(ref _count, _count + (set ? 1 : -1));
        return true;
    }

    private static int OffsetOf(ulong physical) => (int)(physical & (GuestMemory.PageSize - 1));
}
