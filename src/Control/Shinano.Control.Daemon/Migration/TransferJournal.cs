using Shinano.Linux;

namespace Shinano.Control.Daemon.Migration;

/// <summary>
/// Which transfers this host has taken: a file per transfer in the state directory, which survives the host's restart as a guest's disks do. A transfer that has none
/// was not taken.
/// </summary>
internal sealed class TransferJournal(ShinanoPaths paths)
{
    /// <summary>More are forgotten, the oldest first: whoever would ask has long done so.</summary>
    private const int Most = 4096;

    private string Directory => Path.Combine(paths.StateDirectory, "migration", "taken");

    public bool IsTaken(Guid transfer) => File.Exists(PathOf(transfer));

    /// <summary>Notes that a transfer was taken; durable when this returns.</summary>
    /// <exception cref="IOException">It could not be noted.</exception>
    public void Take(Guid transfer)
    {
        ShinanoPaths.EnsureDirectory(Directory);
        string fresh = PathOf(transfer) + ".new";
        using (FileStream file = new(fresh, FileMode.Create, FileAccess.Write))
        {
            file.Flush(flushToDisk: true);
        }

        // The last thing that may fail: with the name in place it is taken, whatever comes.
        File.Move(fresh, PathOf(transfer));
        TryFlushDirectory();
    }

    private void TryFlushDirectory()
    {
        try
        {
            DirectorySync.Flush(Directory);
            Forget();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A disk that fails now has the name in its cache.
        }
    }

    private void Forget()
    {
        foreach (FileInfo old in new DirectoryInfo(Directory).EnumerateFiles().OrderByDescending(file => file.LastWriteTimeUtc).Skip(Most))
        {
            old.Delete();
        }
    }

    private string PathOf(Guid transfer) => Path.Combine(Directory, transfer.ToString("D"));
}
