using Shinano.Control.Api.Domains;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Machine.Forking;
using Shinano.Machine.Saving;

namespace Shinano.Machine.Control;

/// <summary>Keeps a domain still while it is saved, and takes it up again as it was. Thread-safe; one suspension at a time.</summary>
internal sealed class Suspension
{
    private readonly Lock _lock = new();

    /// <summary>Held by whatever suspends, writes or takes up; taken before <see cref="_lock"/>.</summary>
    private readonly SemaphoreSlim _turn = new(1, 1);
    private CancellationTokenSource _abandoned = new();
    private PvMachine? _machine;
    private string? _written;
    private bool _isStill;
    private bool _isHandedOver;
    private bool _wasPaused;
    private ForkServer? _offer;

    /// <summary>The domain may not be unpaused.</summary>
    public bool IsHeld
    {
        get
        {
            lock (_lock)
            {
                return _machine is not null;
            }
        }
    }

    /// <exception cref="DomainFailureException">It cannot be suspended, and is as it was.</exception>
    public async Task BeginAsync(PvMachine machine, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            CancellationToken abandoned = Hold(machine);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, abandoned);
            await machine.SuspendAsync(either.Token).ConfigureAwait(false);
            lock (_lock)
            {
                // A guest may have shut down as its last deed.
                if (machine.Domain.Shutdown is not null)
                {
                    throw new DomainFailureException(DomainFailureCode.WrongState, "the domain has shut down");
                }

                _isStill = true;
            }
        }
        catch (Exception e)
        {
            if (!IsStill)
            {
                TakeUp();
            }

            throw e is BackEndException or IOException ? new DomainFailureException(DomainFailureCode.HostResource, e.Message, e) : e;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Writes the suspended domain.</summary>
    /// <exception cref="DomainFailureException">It is not suspended, or the file cannot be written; it stays suspended.</exception>
    public async Task<SaveResult> SaveAsync(string path, byte[] description)
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            (PvMachine machine, CancellationToken abandoned) = Still();
            SaveResult result = MachineSaver.Save(machine, path, description, abandoned);
            _written = path;
            return result;
        }
        catch (OperationCanceledException e)
        {
            throw new DomainFailureException(DomainFailureCode.WrongState, "whoever had the domain saved is gone: it goes on", e);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Offers the suspended domain to copies, instead of an earlier offer, until <see cref="Withdraw"/>.</summary>
    /// <exception cref="DomainFailureException">It is not suspended, or cannot be copied as it is.</exception>
    public void Offer(ForkOffer offer)
    {
        lock (_lock)
        {
            _offer?.Dispose();
            _offer = null;
            _offer = _machine is { } machine && _isStill
                ? ForkServer.Open(machine, offer)
                : throw new DomainFailureException(DomainFailureCode.WrongState, "the domain is not suspended");
        }
    }

    /// <summary>Ends an offer, if there is one.</summary>
    public void Withdraw()
    {
        lock (_lock)
        {
            _offer?.Dispose();
            _offer = null;
        }
    }

    /// <summary>The domain is to be paused when it is taken up again.</summary>
    public void StayPaused()
    {
        lock (_lock)
        {
            _wasPaused = true;
        }
    }

    /// <summary>Takes the domain up again, if it is suspended.</summary>
    public async Task EndAsync()
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            TakeUp();
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>
    /// Whoever had the domain suspended is gone, and nobody else may come to take it up: what is being written is given up, a file that was finished but not decided
    /// upon goes, because the disks that belong to it go on, and the domain goes on as it was. Does nothing when it is not suspended.
    /// </summary>
    public async Task AbandonAsync()
    {
        lock (_lock)
        {
            _abandoned.Cancel();
        }

        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            if (IsHandedOver)
            {
                return;
            }

            if (_written is { } path)
            {
                File.Delete(path);
            }

            TakeUp();
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>The domain is being destroyed: it is not taken up any more, and what was written stays.</summary>
    public void Forget()
    {
        lock (_lock)
        {
            _machine = null;
            _isStill = false;
            _isHandedOver = false;
            _written = null;
        }
    }

    /// <summary>The suspended domain.</summary>
    /// <exception cref="DomainFailureException">It is not suspended.</exception>
    public PvMachine Demand() => Still().Machine;

    /// <summary>The suspended domain, which may run elsewhere from now on: only who is asked to (<see cref="EndAsync"/>) takes it up.</summary>
    /// <exception cref="DomainFailureException">It is not suspended.</exception>
    public PvMachine HandOver()
    {
        lock (_lock)
        {
            PvMachine machine = Still().Machine;
            _isHandedOver = true;
            return machine;
        }
    }

    /// <summary>Whether <see cref="HandOver"/> was called since it was suspended.</summary>
    public bool IsHandedOver
    {
        get
        {
            lock (_lock)
            {
                return _isHandedOver;
            }
        }
    }

    private bool IsStill
    {
        get
        {
            lock (_lock)
            {
                return _isStill;
            }
        }
    }

    private CancellationToken Hold(PvMachine machine)
    {
        lock (_lock)
        {
            if (_machine is not null || machine.Domain.Shutdown is not null)
            {
                throw new DomainFailureException(
                    DomainFailureCode.WrongState, _machine is not null ? "the domain is being saved already" : "the domain has shut down");
            }

            _machine = machine;
            _wasPaused = machine.Runner.IsPaused;
            return _abandoned.Token;
        }
    }

    private (PvMachine Machine, CancellationToken Abandoned) Still()
    {
        lock (_lock)
        {
            return _isStill && _machine is { } machine
                ? (machine, _abandoned.Token)
                : throw new DomainFailureException(DomainFailureCode.WrongState, "the domain is not suspended");
        }
    }

    /// <summary>Called with the turn.</summary>
    private void TakeUp()
    {
        lock (_lock)
        {
            if (_machine is { } machine)
            {
                machine.Resume();
                if (!_wasPaused)
                {
                    machine.Runner.Unpause();
                }
            }

            _machine = null;
            _isStill = false;
            _isHandedOver = false;
            _written = null;
            _abandoned = new CancellationTokenSource();
        }
    }
}
