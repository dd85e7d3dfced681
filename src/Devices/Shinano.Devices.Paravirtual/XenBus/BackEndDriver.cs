namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>
/// Takes one device through the states of xenbus, for as long as it is attached: a front end may close and come again (a boot loader, then a kernel), or come
/// again without having closed. An error of the device ends at its <c>error</c> node and never leaves this class.
/// </summary>
/// <remarks>
/// <code>
/// front end                    back end
/// (Initialising)               prepare -> InitWait
/// Initialised, Connected       connect -> Connected
/// Closing                      disconnect -> Closing
/// Closed, or no node           disconnect -> Closed        and the end, when the device is being detached
/// Initialising after any       disconnect, prepare -> InitWait
/// </code>
/// Source: public/io/xenbus.h, docs/misc/xenbus and the sequence of Linux's drivers.
/// </remarks>
internal sealed class BackEndDriver : IAsyncDisposable
{
    private readonly IBackEndDevice _device;
    private readonly BackEndNodes _nodes;
    private readonly IFrontEndDomain _guest;
    private readonly GuestSignal _signal = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private XenbusState _state = XenbusState.Initialising;
    private string? _error;
    private volatile bool _detaching;
    private volatile TaskCompletionSource? _held;
    private volatile TaskCompletionSource? _quiet;
    private int _disposed;

    /// <param name="device">Disposed with this.</param>
    public BackEndDriver(IBackEndDevice device, BackEndNodes nodes, IFrontEndDomain guest)
    {
        _device = device;
        _nodes = nodes;
        _guest = guest;
        _running = Task.Run(RunAsync);
    }

    /// <summary>Completes when the device has ended: detached, forced, or its nodes are gone.</summary>
    public Task Ended => _running;

    public IBackEndDevice Device => _device;

    public DeviceSummary Describe() => new(_device.Kind, _device.Id, _state, Volatile.Read(ref _error), _device.ReadCounters());

    /// <summary>Completes when the device is first in InitWait; fails when it is not to be had.</summary>
    /// <exception cref="BackEndException">The device cannot be had.</exception>
    public Task ReadyAsync(CancellationToken cancellation) => _ready.Task.WaitAsync(cancellation);

    /// <summary>
    /// Lets go of the guest without its notice, while it executes nothing: what is under way ends, rings and ports are given back. <see cref="Resume"/> takes them
    /// up again where they are. Completes when nothing of the guest is touched any more, or the device has ended.
    /// </summary>
    public async Task SuspendAsync(CancellationToken cancellation)
    {
        TaskCompletionSource quiet = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _quiet = quiet;
        _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _signal.Set();
        await Task.WhenAny(quiet.Task, _running).WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Undoes <see cref="SuspendAsync"/>.</summary>
    public void Resume()
    {
        TaskCompletionSource? held = _held;
        _held = null;
        held?.TrySetResult();
    }

    /// <summary>Asks the front end to close, at once or when it can; <see cref="Ended"/> follows.</summary>
    public void BeginDetach()
    {
        _detaching = true;
        _signal.Set();
    }

    /// <summary>Ends the device whatever the front end does.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await _stop.CancelAsync().ConfigureAwait(false);
        }

        await _running.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        try
        {
            await PrepareAsync().ConfigureAwait(false);
            _ready.TrySetResult();
            using IDisposable watch = await _nodes.WatchAsync("state", _signal.Set, _stop.Token).ConfigureAwait(false);
            while (true)
            {
                long seen = _signal.Version;
                if (_held is { } held)
                {
                    await LetGoAsync(held.Task).ConfigureAwait(false);
                    continue;
                }

                if (await StepAsync().ConfigureAwait(false))
                {
                    break;
                }

                await _signal.WaitAsync(seen, _stop.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Ended by force.
        }
        catch (IOException failure)
        {
            // The nodes are gone, or no longer ours.
            Note($"xenstore: {failure.Message}");
        }
        catch (Exception failure)
        {
            // The boundary: a device's error is the device's alone.
            Note(failure is BackEndException ? failure.Message : failure.ToString());
        }
        finally
        {
            await EndAsync().ConfigureAwait(false);
            _ready.TrySetException(new BackEndException(_error ?? "the device was removed"));
            _ = _ready.Task.Exception;
        }
    }

    /// <summary>Looks at the front end's state once and follows it; true when the device is to end.</summary>
    private async Task<bool> StepAsync()
    {
        XenbusState front = await _nodes.ReadFrontStateAsync(_stop.Token).ConfigureAwait(false);
        switch (front)
        {
            case XenbusState.Initialising or XenbusState.InitWait:
                if (_detaching)
                {
                    await CloseAsync(XenbusState.Closed).ConfigureAwait(false);
                    return true;
                }

                if (_state != XenbusState.InitWait)
                {
                    await _device.DisconnectAsync().ConfigureAwait(false);
                    await PrepareAsync().ConfigureAwait(false);
                }

                break;

            case XenbusState.Initialised or XenbusState.Connected or XenbusState.Reconfiguring or XenbusState.Reconfigured:
                if (_detaching)
                {
                    await SwitchAsync(XenbusState.Closing).ConfigureAwait(false);
                }
                else if (_state == XenbusState.InitWait)
                {
                    await ConnectAsync().ConfigureAwait(false);
                }

                break;

            case XenbusState.Closing:
                await CloseAsync(XenbusState.Closing).ConfigureAwait(false);
                break;

            default:
                await CloseAsync(XenbusState.Closed).ConfigureAwait(false);
                return _detaching;
        }

        return false;
    }

    /// <summary>What was published stays: to the guest the device is connected, and so it is again at the next step.</summary>
    private async Task LetGoAsync(Task held)
    {
        await _device.SuspendAsync().ConfigureAwait(false);
        if (_state == XenbusState.Connected)
        {
            _state = XenbusState.InitWait;
        }

        _quiet?.TrySetResult();
        await held.WaitAsync(_stop.Token).ConfigureAwait(false);
    }

    private async Task PrepareAsync()
    {
        await _device.PrepareAsync(_nodes, _stop.Token).ConfigureAwait(false);
        await SwitchAsync(XenbusState.InitWait).ConfigureAwait(false);
    }

    private async Task ConnectAsync()
    {
        try
        {
            await _device.ConnectAsync(_nodes, _guest, _stop.Token).ConfigureAwait(false);
            Volatile.Write(ref _error, null);
        }
        catch (BackEndException failure)
        {
            Note(failure.Message);
            await _device.DisconnectAsync().ConfigureAwait(false);
            await _nodes.PublishAsync("error", failure.Message, _stop.Token).ConfigureAwait(false);
            await SwitchAsync(XenbusState.Closing).ConfigureAwait(false);
            return;
        }

        await SwitchAsync(XenbusState.Connected).ConfigureAwait(false);
    }

    private async Task CloseAsync(XenbusState state)
    {
        await _device.DisconnectAsync().ConfigureAwait(false);
        await SwitchAsync(state).ConfigureAwait(false);
    }

    private async Task SwitchAsync(XenbusState state)
    {
        if (_state != state)
        {
            await _nodes.PublishAsync("state", (int)state, _stop.Token).ConfigureAwait(false);
            _state = state;
        }
    }

    private async Task EndAsync()
    {
        try
        {
            await _device.DisconnectAsync().ConfigureAwait(false);
            _state = XenbusState.Closed;
            await _device.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            Note(failure.ToString());
        }
    }

    private void Note(string problem)
    {
        Volatile.Write(ref _error, problem);
        _guest.Log($"{_device.Kind}/{_device.Id}: {problem}");
    }
}
