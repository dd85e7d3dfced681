using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.SavedState;

namespace Shinano.Machine.Migration;

/// <summary>xend's calls about a domain that goes elsewhere, and the way back when it does not. Thread-safe; one departure at a time.</summary>
internal sealed class Departure
{
    /// <summary>A successor elsewhere that is ending holds the locks of images for a moment.</summary>
    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _oneReturn = new(1, 1);
    private StateSender? _sender;
    private CancellationTokenSource? _rounds;
    private PvMachine? _withoutHost;

    /// <summary>Connects to xend's socket and sends what the machine must be and, of a domain that is to run on meanwhile, rounds of pages.</summary>
    /// <exception cref="DomainFailureException">It is on its way already, or xend is gone.</exception>
    public PreCopyResult Begin(PvMachine machine, string socketPath, bool live, Action<int, long, long> progress, CancellationToken cancellation)
    {
        using CancellationTokenSource rounds = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        StateSender sender;
        lock (_lock)
        {
            if (_sender is not null)
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, "the domain is being migrated already");
            }

            sender = _sender = Translate(() => new StateSender(machine, socketPath));
            _rounds = rounds;
        }

        try
        {
            return live ? Translate(() => sender.SendPages(progress, rounds.Token)) : new PreCopyResult(0, 0, 0);
        }
        catch
        {
            End(sender);
            throw;
        }
        finally
        {
            lock (_lock)
            {
                _rounds = _rounds == rounds ? null : _rounds;
            }
        }
    }

    /// <summary>Sends state and last pages of the suspended domain.</summary>
    /// <returns>Pages sent.</returns>
    /// <exception cref="DomainFailureException">It cannot be saved, or xend is gone.</exception>
    public long SendState()
    {
        StateSender sender;
        lock (_lock)
        {
            sender = _sender ?? throw new DomainFailureException(DomainFailureCode.WrongState, "the domain is not being migrated");
        }

        return Translate(sender.SendState);
    }

    /// <summary>Gives up what of the host's only one may have, so that a successor can have it. The domain is suspended.</summary>
    public async Task LetGoOfHostAsync(PvMachine machine)
    {
        _withoutHost = machine;
        if (machine.Devices is { } devices)
        {
            await devices.LetGoOfHostAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The domain stays: nothing more is sent, and its devices have what they had.</summary>
    /// <exception cref="DomainFailureException">An image is not to be had now; the call may be made again.</exception>
    public async Task ReturnAsync()
    {
        Cancel();
        await _oneReturn.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_withoutHost?.Devices is { } devices)
            {
                await RetryAsync(devices.TakeUpHostAsync).ConfigureAwait(false);
            }

            _withoutHost = null;
        }
        finally
        {
            _oneReturn.Release();
        }
    }

    /// <summary>Nothing more is sent.</summary>
    public void Cancel() => End(Volatile.Read(ref _sender));

    private void End(StateSender? sender)
    {
        lock (_lock)
        {
            if (_sender == sender)
            {
                _sender = null;
                _rounds?.Cancel();
            }
        }

        sender?.Dispose();
    }

    private static async Task RetryAsync(Func<Task> take)
    {
        long deadline = Environment.TickCount64 + (long)LockPatience.TotalMilliseconds;
        while (true)
        {
            try
            {
                await take().ConfigureAwait(false);
                return;
            }
            catch (IOException) when (Environment.TickCount64 < deadline)
            {
                await Task.Delay(50).ConfigureAwait(false);
            }
            catch (IOException e)
            {
                throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
            }
        }
    }

    private static T Translate<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (SavedStateException e)
        {
            throw new DomainFailureException(DomainFailureCode.NotSupported, $"the domain cannot be migrated: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or SocketException or OperationCanceledException)
        {
            throw new DomainFailureException(DomainFailureCode.MigrationBroken, $"the domain was not sent: {e.Message}", e);
        }
    }
}
