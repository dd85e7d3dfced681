using Shinano.Storage;

namespace Shinano.Devices.Paravirtual.Block;

/// <summary>Work over one image, from its beginning to its end or until it is stopped.</summary>
internal sealed class BlockWorkRun : IDisposable
{
    /// <summary>While the guest uses the disk, the work waits this many times as long as it works: it has a fifth of the time.</summary>
    private const int Yield = 4;

    /// <summary>A piece that took long for another reason holds the work up no longer than this.</summary>
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _stop = new();
    private readonly Func<long> _requests;
    private readonly Task _task;
    private long _seen;

    /// <param name="requests">How many requests the guest has begun so far.</param>
    public BlockWorkRun(IBlockWork work, IBlockImage image, Func<long> requests)
    {
        _requests = requests;
        _seen = requests();
        _task = Task.Run(() => work.RunAsync(image, PaceAsync, _stop.Token));
    }

    /// <summary>Stops it and waits for that.</summary>
    /// <returns>Whether it had come to its end.</returns>
    public async Task<bool> StopAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        try
        {
            await _task.ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    public void Dispose() => _stop.Dispose();

    private async ValueTask PaceAsync(TimeSpan took)
    {
        long requests = _requests();
        if (requests != Interlocked.Exchange(ref _seen, requests))
        {
            TimeSpan pause = took * Yield;
            await Task.Delay(pause < LongestPause ? pause : LongestPause, _stop.Token).ConfigureAwait(false);
        }
    }
}
