using System.Diagnostics;
using Shinano.Control.Api.Domains;
using Shinano.Hypervisor.Mmu;
using Shinano.Machine.Saving;
using Shinano.Memory;
using Shinano.SavedState;

namespace Shinano.Machine.Migration;

/// <summary>Sends a running guest's memory in rounds: all of it, then what changed since, until little is left. One use.</summary>
internal sealed class PreCopy : IDisposable
{
    /// <summary>So much memory may be sent before the guest is suspended whatever it does. Xen: tools/libs/light/libxl_domain.c stops at three times as well.</summary>
    private const int MostTimes = 3;
    private const int MostRounds = 30;

    /// <summary>Rounds in a row that do not leave less than the one before.</summary>
    private const int MostUseless = 3;

    /// <summary>What is left may take this long, by the time that the rounds before took.</summary>
    private static readonly TimeSpan ShortEnough = TimeSpan.FromMilliseconds(100);

    private readonly PvMachine _machine;
    private readonly DirtyLog _log;

    /// <summary>Begins to note what changes.</summary>
    public PreCopy(PvMachine machine)
    {
        _machine = machine;
        _log = Memory.BeginLog();
        DropWriteTranslations();
    }

    private GuestMemory Memory => _machine.Domain.Memory;

    private MachineSpace Space => _machine.Parts.Mmu.Space;

    /// <summary>Sends rounds until what is left is worth a suspension.</summary>
    /// <param name="progress">Told of each round.</param>
    /// <exception cref="IOException">The other end is gone.</exception>
    public PreCopyResult Run(SectionWriter output, Action<int, long, long> progress, CancellationToken cancellation)
    {
        Stopwatch clock = Stopwatch.StartNew();
        long sent = PageSections.Write(output, Memory, Observed(Memory.FramesWithContent(), cancellation), isPacked: false, cancellation);
        long most = MostTimes * (long)Space.TotalPages;
        long left = _log.Count;
        int rounds = 1;
        progress(rounds, sent, left);
        for (int useless = 0; rounds < MostRounds && sent < most && useless < MostUseless && !IsLittle(left, sent, clock.Elapsed); rounds++)
        {
            IReadOnlyList<ulong> dirty = _log.Take();
            DropWriteTranslations();
            sent += PageSections.Write(output, Memory, Observed(dirty, cancellation), isPacked: false, cancellation);
            useless = _log.Count < left ? 0 : useless + 1;
            left = _log.Count;
            progress(rounds + 1, sent, left);
        }

        return new PreCopyResult(rounds, sent, left);
    }

    /// <summary>What changed since the last round, and what the host may have changed without a word; the domain is suspended.</summary>
    public IEnumerable<ulong> TakeRest() => _log.Take().Union(Memory.ReferencedFrames()).Where(Space.IsGuests).Order();

    public void Dispose() => Memory.EndLog(_log);

    private static bool IsLittle(long left, long sent, TimeSpan elapsed) => elapsed * ((double)left / Math.Max(sent, 1)) < ShortEnough;

    private IEnumerable<ulong> Observed(IEnumerable<ulong> frames, CancellationToken cancellation)
    {
        foreach (ulong frame in frames)
        {
            cancellation.ThrowIfCancellationRequested();

            // Without the MMU's lock: a frame that comes or goes meanwhile is noted.
            if (Space.IsGuests(frame))
            {
                yield return frame;
            }
        }
    }

    /// <summary>When this returns, guest writes that the log does not have yet are in memory, and the next ones are noted.</summary>
    private void DropWriteTranslations() => _machine.Parts.Mmu.Flushes.Flush(ulong.MaxValue);
}
