using Shinano.Control.Api.Domains;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Machine.Forking;
using Shinano.Machine.Saving;

namespace Shinano.Machine.Control;

/// <summary>Keeps a domain still while it is saved, and takes it up again as it was. Thread-safe; one suspension at a time.</summary>
internal sealed class Suspension
{
    private readonly Lock _lock = new();
    private PvMachine? _machine;
    private bool _isStill;
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
        lock (_lock)
        {
            if (_machine is not null || machine.Domain.Shutdown is not null)
            {
                throw new DomainFailureException(
                    DomainFailureCode.WrongState, _machine is not null ? "the domain is being saved already" : "the domain has shut down");
            }

            _machine = machine;
            _wasPaused = machine.Runner.IsPaused;
        }

        try
        {
            await machine.SuspendAsync(cancellation).ConfigureAwait(false);
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
            End();
            throw e is BackEndException or IOException ? new DomainFailureException(DomainFailureCode.HostResource, e.Message, e) : e;
        }
    }

    /// <summary>Writes the suspended domain.</summary>
    public SaveResult Save(string path, ReadOnlySpan<byte> description)
    {
        lock (_lock)
        {
            return _machine is { } machine && _isStill
                ? MachineSaver.Save(machine, path, description)
                : throw new DomainFailureException(DomainFailureCode.WrongState, "the domain is not suspended");
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
    public void End()
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
        }
    }
}
