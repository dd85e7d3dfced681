using Shinano.Control.Api.Domains;

namespace Shinano.Control.Daemon.Migration;

/// <summary>One domain that is coming: it is taken, or dropped, once and for all. Thread-safe.</summary>
internal sealed class Arrival(Guid transfer, MigrationPeer peer)
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _taken;
    private bool _dropped;

    public Guid Transfer => transfer;

    /// <summary>Completes when nothing of a dropped one is left, or a taken one runs.</summary>
    public Task Over => _over.Task;

    /// <summary>Takes the domain, unless it was dropped.</summary>
    /// <param name="note">Makes it durable; what it throws leaves the domain not taken.</param>
    /// <exception cref="DomainFailureException">It was dropped.</exception>
    public void Take(Action note)
    {
        lock (_lock)
        {
            if (_dropped)
            {
                throw new DomainFailureException(DomainFailureCode.MigrationBroken, "the sender has asked about the domain, and heard that it was not taken");
            }

            note();
            _taken = true;
        }
    }

    /// <summary>Drops the domain, unless it was taken.</summary>
    /// <param name="disconnect">Ends the connection as well; otherwise its own thread is to say why.</param>
    /// <returns>Whether it is dropped.</returns>
    public bool TryDrop(bool disconnect)
    {
        lock (_lock)
        {
            if (_taken)
            {
                return false;
            }

            _dropped = true;
        }

        if (disconnect)
        {
            peer.Dispose();
        }

        return true;
    }

    public void SetOver() => _over.TrySetResult();
}
