using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Control.Daemon.Domains;

/// <summary>One domain that xend knows: its record, its process and its connection.</summary>
internal sealed class DomainEntry(DomainRecord record, DomainDirectory directory)
{
    /// <summary>How long a domain process may take to answer what it can answer from memory; a loaded host is no reason to give one up.</summary>
    public static readonly TimeSpan QuickCall = TimeSpan.FromSeconds(30);

    private volatile DomainRecord _record = record;
    private int _departing;

    public int Id => _record.Spec.DomainId;

    public DomainRecord Record => _record;

    public DomainDirectory Directory => directory;

    /// <summary>Held by whatever changes the domain's life: creation, destruction, the handling of its end.</summary>
    public SemaphoreSlim Gate { get; } = new(1, 1);

    /// <summary>Null before the process listens and after it has ended.</summary>
    public DomainConnection? Connection { get; set; }

    /// <summary>Set under the gate, once the domain is going or gone: later reports of its end are echoes.</summary>
    public bool Ended { get; set; }

    public DomainStatus? LastStatus { get; private set; }

    /// <summary>Completes when the domain has ended, preserved ones included.</summary>
    public TaskCompletionSource<DomainOutcome> Outcome { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Changes the record, in memory and on disk.</summary>
    public void Update(Func<DomainRecord, DomainRecord> change)
    {
        DomainRecord changed = change(_record);
        directory.WriteRecord(changed);
        _record = changed;
    }

    /// <summary>The same, and on the disk when it returns.</summary>
    /// <exception cref="IOException">It is not.</exception>
    public void UpdateDurably(Func<DomainRecord, DomainRecord> change)
    {
        DomainRecord changed = change(_record);
        directory.WriteRecord(changed, durably: true);
        _record = changed;
    }

    /// <summary>False when the domain is on its way elsewhere already.</summary>
    public bool TryBeginDeparture() => Interlocked.Exchange(ref _departing, 1) == 0;

    public void EndDeparture() => Volatile.Write(ref _departing, 0);

    public bool ProcessIsAlive => _record.Process?.IsAlive() ?? false;

    /// <summary>Asks for the present status. The last known one, with false, when the process does not answer.</summary>
    public async Task<(DomainStatus? Status, bool Responding)> GetStatusAsync(CancellationToken cancellationToken)
    {
        if (Connection is not { } connection)
        {
            return (LastStatus, false);
        }

        try
        {
            LastStatus = await connection.CallAsync((domain, token) => domain.GetStatusAsync(token), TimeSpan.FromSeconds(2), cancellationToken);
            return (LastStatus, true);
        }
        catch (DomainFailureException)
        {
            return (LastStatus, false);
        }
    }

    /// <summary>The connection, or a named failure for a domain that has none.</summary>
    public DomainConnection RequireConnection() =>
        Connection ?? throw new DomainFailureException(DomainFailureCode.WrongState, $"domain '{_record.Name}' has no running process");

    /// <summary>Waits until the process has ended; false when it has not within <paramref name="patience"/>.</summary>
    public static async Task<bool> WaitForEndAsync(ProcessStamp process, TimeSpan patience, CancellationToken cancellationToken)
    {
        // An adopted process is not our child, so there is no wait(2) for it; sockets close just before the process is gone.
        long deadline = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (process.IsAlive())
        {
            if (Environment.TickCount64 > deadline)
            {
                return false;
            }

            await Task.Delay(10, cancellationToken);
        }

        return true;
    }
}
