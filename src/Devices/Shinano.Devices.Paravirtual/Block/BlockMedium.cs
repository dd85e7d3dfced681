using Shinano.Storage;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>The image behind a disk, which can be replaced while requests come: those under way finish first, later ones wait. Thread-safe.</summary>
internal sealed class BlockMedium(IBlockImage? image) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _oneChange = new(1, 1);
    private IBlockImage? _image = image;
    private int _users;
    private TaskCompletionSource? _idle;
    private TaskCompletionSource? _changing;
    private TaskCompletionSource? _closed;
    private long _requests;
    private IBlockWork? _work;
    private BlockWorkRun? _run;

    /// <summary>Sectors of 512 bytes; 0 without a medium.</summary>
    public long Sectors => (Volatile.Read(ref _image)?.Length ?? 0) / BlockSegment.SectorSize;

    /// <summary>Begins a use of the image, null without a medium; <see cref="Leave"/> ends it.</summary>
    public async ValueTask<IBlockImage?> EnterAsync()
    {
        while (true)
        {
            Task changing;
            lock (_lock)
            {
                if (_changing is null)
                {
                    _users++;
                    _requests++;
                    return _image;
                }

                changing = _changing.Task;
            }

            await changing.ConfigureAwait(false);
        }
    }

    /// <summary>Ends a use.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            if (--_users == 0)
            {
                _idle?.TrySetResult();
            }
        }
    }

    /// <summary>Begins long work over the image, which ends before the image is closed and begins again with the one that is opened then. Earlier work is over.</summary>
    /// <param name="work">Null for none.</param>
    public async Task SetWorkAsync(IBlockWork? work)
    {
        await _oneChange.WaitAsync().ConfigureAwait(false);
        try
        {
            await StopWorkAsync().ConfigureAwait(false);
            _work = work;
            if (_closed is null)
            {
                BeginWork();
            }
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <summary>Closes the image and opens another, null for none. When that fails the old one is opened again.</summary>
    /// <param name="open">Opens the new one.</param>
    /// <param name="reopen">Opens the old one.</param>
    /// <exception cref="IOException">What <paramref name="open"/> said.</exception>
    public async Task ReplaceAsync(Func<ValueTask<IBlockImage?>> open, Func<ValueTask<IBlockImage?>> reopen)
    {
        await _oneChange.WaitAsync().ConfigureAwait(false);
        TaskCompletionSource changing = new(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            await CloseAsync(changing).ConfigureAwait(false);
            try
            {
                Volatile.Write(ref _image, await open().ConfigureAwait(false));
            }
            catch
            {
                Volatile.Write(ref _image, await reopen().ConfigureAwait(false));
                throw;
            }
        }
        finally
        {
            lock (_lock)
            {
                _changing = null;
            }

            changing.SetResult();
            BeginWork();
            _oneChange.Release();
        }
    }

    /// <summary>Closes the image, durably; uses wait until <see cref="OpenAsync"/>.</summary>
    public async Task CloseAsync()
    {
        await _oneChange.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_closed is null)
            {
                TaskCompletionSource changing = new(TaskCreationOptions.RunContinuationsAsynchronously);
                await CloseAsync(changing).ConfigureAwait(false);
                _closed = changing;
            }
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <summary>Undoes <see cref="CloseAsync()"/>; does nothing when the image is open.</summary>
    /// <exception cref="IOException">What <paramref name="open"/> said; the image stays closed.</exception>
    public async Task OpenAsync(Func<ValueTask<IBlockImage?>> open)
    {
        await _oneChange.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_closed is { } closed)
            {
                Volatile.Write(ref _image, await open().ConfigureAwait(false));
                _closed = null;
                lock (_lock)
                {
                    _changing = null;
                }

                closed.SetResult();
                BeginWork();
            }
        }
        finally
        {
            _oneChange.Release();
        }
    }

    /// <summary>Makes what was written durable and closes the image; nothing uses it any more.</summary>
    public async ValueTask DisposeAsync()
    {
        IBlockImage? image = Interlocked.Exchange(ref _image, null);
        await StopWorkAsync().ConfigureAwait(false);
        if (image is not null)
        {
            try
            {
                await image.FlushAsync().ConfigureAwait(false);
            }
            catch (IOException)
            {
                // Whoever wanted it durable has asked for a flush, and was told.
            }

            await image.DisposeAsync().ConfigureAwait(false);
        }
    }

    private void BeginWork()
    {
        if (_work is { } work && _image is { } image)
        {
            _run = new BlockWorkRun(work, image, () => Volatile.Read(ref _requests));
        }
    }

    /// <summary>Work that came to its end is forgotten.</summary>
    private async Task StopWorkAsync()
    {
        if (_run is { } run)
        {
            _run = null;
            _work = await run.StopAsync().ConfigureAwait(false) ? null : _work;
            run.Dispose();
        }
    }

    private async Task CloseAsync(TaskCompletionSource changing)
    {
        Task idle = Task.CompletedTask;
        lock (_lock)
        {
            _changing = changing;
            if (_users > 0)
            {
                _idle = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                idle = _idle.Task;
            }
        }

        await idle.ConfigureAwait(false);
        await DisposeAsync().ConfigureAwait(false);
    }
}
