using Shinano.Control.Api.Domains.Devices;
using Shinano.Devices.Paravirtual.Block;
using Shinano.Storage;
using Shinano.Storage.Pools;

namespace Shinano.Machine.Devices;

/// <summary>Makes layers of a disk's volume one while the guest uses it. When the volume got a new head meanwhile, it begins anew with that one.</summary>
/// <param name="kept">How many of the oldest layers stay below the head.</param>
internal sealed class FlattenWork(DirectoryPool pool, VolumeName name, int kept) : IBlockWork, IProgress<TransferProgress>
{
    private readonly Lock _lock = new();
    private TransferProgress _progress;
    private bool _isEnded;
    private string? _failure;

    /// <summary>No layer stays.</summary>
    public bool IsWhole => kept == 0;

    /// <summary>It is done, or has failed.</summary>
    public bool IsEnded
    {
        get
        {
            lock (_lock)
            {
                return _isEnded;
            }
        }
    }

    public async Task RunAsync(IBlockImage image, Func<TimeSpan, ValueTask> pace, CancellationToken cancellationToken)
    {
        try
        {
            await pool.FlattenInUseAsync(name, image, kept, pace, this, cancellationToken).ConfigureAwait(false);
            End(null);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Whatever it is, the disk is closed without it.
            Console.Error.WriteLine($"flatten {name}: {e.Message}");
            End(e.Message);
        }
    }

    public void Report(TransferProgress value)
    {
        lock (_lock)
        {
            _progress = value;
        }
    }

    public FlattenStatus Describe(string id)
    {
        lock (_lock)
        {
            return new FlattenStatus { Id = id, Volume = name.ToString(), Done = _progress.Done, Total = _progress.Total, IsEnded = _isEnded, Failure = _failure };
        }
    }

    private void End(string? failure)
    {
        lock (_lock)
        {
            (_isEnded, _failure) = (true, failure);
        }
    }
}
