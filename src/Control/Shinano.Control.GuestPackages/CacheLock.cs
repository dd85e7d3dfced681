namespace Shinano.Control.GuestPackages;

/// <summary>
/// Excludes other processes that fill the same cache. The kernel drops it when its holder dies, so it can never be left behind.
/// </summary>
internal sealed class CacheLock : IDisposable
{
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(100);

    /// <summary>errno EWOULDBLOCK, which .NET passes on in HResult. Any other failure (a full disk) is the caller's.</summary>
    private const int WouldBlock = 11;

    private readonly FileStream file;

    private CacheLock(FileStream file) => this.file = file;

    /// <summary>Waits for the lock at <paramref name="path"/>; <paramref name="onWait"/> is called once if another holds it.</summary>
    public static async Task<CacheLock> TakeAsync(string path, Action onWait, CancellationToken cancellation)
    {
        var waited = false;
        while (true)
        {
            try
            {
                // FileShare.None is flock(LOCK_EX | LOCK_NB) on Linux.
                return new CacheLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException exception) when (exception.HResult == WouldBlock)
            {
                if (!waited)
                {
                    waited = true;
                    onWait();
                }

                await Task.Delay(Retry, cancellation).ConfigureAwait(false);
            }
        }
    }

    public void Dispose() => file.Dispose();
}
