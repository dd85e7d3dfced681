using System.Buffers;
using Microsoft.Win32.SafeHandles;
using Shinano.Linux;
using Shinano.XenStore.Server.Sessions;
using Shinano.XenStore.Server.Tree;

namespace Shinano.XenStore.Server.Journal;

/// <summary>
/// The journal on disk: one file that starts with a checkpoint, to which each change is appended before it becomes visible, and
/// which a new file replaces when the changes outgrow the checkpoint.
/// </summary>
/// <remarks>
/// What is promised: a change that was answered is there after the daemon is killed (write(2) has returned, so the kernel has it). A
/// change is not forced to the disk on its own: when the host itself loses power, its domains are gone and so is the meaning of what the
/// last seconds wrote. A checkpoint is forced to the disk before it takes the place of the old file, so there is always a whole one.
/// Not thread-safe: the engine's lock covers it.
/// </remarks>
internal sealed class StoreJournal : IStoreJournal, IDisposable
{
    private const string FileName = "journal";
    private const string LockName = "lock";
    private const long LeastGrowth = 1024 * 1024;

    private readonly string directory;
    private readonly FileStream ownership;
    private readonly ArrayBufferWriter<byte> buffer = new();
    private readonly StoreState state;
    private readonly Action<string> report;
    private readonly bool forcesToDisk;
    private SafeFileHandle? file;
    private long position;
    private long compactAt;
    private ulong sequence;
    private bool isBroken;
    private bool isFull;

    private StoreJournal(
        string directory, FileStream ownership, StoreState state, Action<string> report, bool forcesToDisk)
    {
        this.forcesToDisk = forcesToDisk;
        this.directory = directory;
        this.ownership = ownership;
        this.state = state;
        this.report = report;
    }

    private string FilePath => Path.Combine(directory, FileName);

    /// <summary>Takes the state directory, reads what is there and starts a fresh file.</summary>
    /// <param name="directory">Created with mode 0700 when it is not there.</param>
    /// <param name="report">Called with messages for the log.</param>
    /// <param name="forcesToDisk">False only in tests that open many journals.</param>
    /// <exception cref="IOException">Another server has the directory, the file cannot be read or written, or its checkpoint is damaged.</exception>
    internal static (StoreJournal Journal, StoreState State, JournalRecovery Recovery) Open(
        string directory, Action<string> report, bool forcesToDisk = true)
    {
        ShinanoPaths.EnsureDirectory(directory);
        FileStream ownership = TakeOwnership(directory);
        try
        {
            var state = new StoreState();
            var journal = new StoreJournal(directory, ownership, state, report, forcesToDisk);
            JournalRecovery recovery = journal.Recover();
            journal.WriteCheckpoint();
            return (journal, state, recovery);
        }
        catch
        {
            ownership.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public bool TryAppend(IReadOnlyList<StoreMutation> change)
    {
        if (isBroken)
        {
            return false;
        }

        if (position >= compactAt)
        {
            TryCompact();
        }

        if (TryWrite(change))
        {
            isFull = false;
            return true;
        }

        // A full disk: what was removed since the checkpoint gives room back, so that removing goes on.
        if (!isBroken && !isFull)
        {
            isFull = true;
            TryCompact();
            return TryWrite(change);
        }

        return false;
    }

    /// <summary>Forces all changes to the disk: for an orderly stop.</summary>
    internal void Flush() => RandomAccess.FlushToDisk(file!);

    public void Dispose()
    {
        file?.Dispose();
        ownership.Dispose();
    }

    private static FileStream TakeOwnership(string directory)
    {
        try
        {
            // FileShare.None is flock(2) here: it ends with the process, however that ends.
            return new FileStream(Path.Combine(directory, LockName), new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (IOException failure)
        {
            throw new IOException($"Another xenstore server uses '{directory}', or it cannot be written: {failure.Message}", failure);
        }
    }

    private JournalRecovery Recover()
    {
        byte[] content;
        try
        {
            content = File.ReadAllBytes(FilePath);
        }
        catch (FileNotFoundException)
        {
            return new JournalRecovery(Existed: false, Changes: 0, IgnoredBytes: 0);
        }

        if (!JournalFormat.TryReadHeader(content, out long checkpointLength)
            || checkpointLength > content.Length - JournalFormat.HeaderSize)
        {
            throw Damaged("it has no valid header");
        }

        // The checkpoint was on the disk before the file got its name: if it cannot be read, the disk or somebody changed it.
        ReadOnlySpan<byte> checkpoint = content.AsSpan(JournalFormat.HeaderSize, (int)checkpointLength);
        ulong next = 0;
        while (!checkpoint.IsEmpty)
        {
            if (!JournalFormat.TryReadRecord(ref checkpoint, next, out List<StoreMutation> mutations) || !TryApply(mutations))
            {
                throw Damaged($"record {next} of its checkpoint is not sound");
            }

            next++;
        }

        ReadOnlySpan<byte> rest = content.AsSpan(JournalFormat.HeaderSize + (int)checkpointLength);
        int changes = 0;
        while (JournalFormat.TryReadRecord(ref rest, next, out List<StoreMutation> mutations) && TryApply(mutations))
        {
            next++;
            changes++;
        }

        if (!rest.IsEmpty)
        {
            report($"The xenstore journal ends in {rest.Length} bytes that are no whole change; they are ignored.");
        }

        return new JournalRecovery(Existed: true, changes, rest.Length);
    }

    private IOException Damaged(string how) => new(
        $"The xenstore journal '{FilePath}' is damaged: {how}. Move it away to start with an empty store; domains that run must then be "
        + "created again.");

    private bool TryApply(List<StoreMutation> mutations)
    {
        try
        {
            mutations.ForEach(state.Apply);
            return true;
        }
        catch (InvalidOperationException)
        {
            // A node without its parent: sound by its checksum, but never written by us.
            return false;
        }
    }

    private bool TryWrite(IReadOnlyList<StoreMutation> change)
    {
        buffer.ResetWrittenCount();
        JournalFormat.WriteRecord(buffer, sequence, change);
        try
        {
            RandomAccess.Write(file!, buffer.WrittenSpan, position);
        }
        catch (Exception failure) when (IsRefusal(failure))
        {
            // Once for each time the disk fills up: the log may be on the same disk.
            if (!isFull)
            {
                report($"The xenstore journal cannot be written, changes are refused: {failure.Message}");
            }

            Withdraw();
            return false;
        }

        position += buffer.WrittenCount;
        sequence++;
        return true;
    }

    // EFBIG comes as an argument's exception, EACCES and EPERM as one of access.
    private static bool IsRefusal(Exception failure) => failure is IOException or UnauthorizedAccessException or ArgumentException;

    private void TryCompact()
    {
        try
        {
            WriteCheckpoint();
        }
        catch (Exception failure) when (IsRefusal(failure))
        {
            compactAt = position + LeastGrowth;
            report($"The xenstore journal could not be compacted, it goes on growing: {failure.Message}");
        }
    }

    private void WriteCheckpoint()
    {
        string temporary = FilePath + ".new";
        var content = new ArrayBufferWriter<byte>();
        ulong records = 0;
        foreach (IEnumerable<StoreMutation> part in Parts(state.Snapshot()))
        {
            JournalFormat.WriteRecord(content, records++, part);
        }

        SafeFileHandle fresh = OpenNew(temporary);
        try
        {
            RandomAccess.Write(fresh, JournalFormat.Header(content.WrittenCount), 0);
            RandomAccess.Write(fresh, content.WrittenSpan, JournalFormat.HeaderSize);
            if (forcesToDisk)
            {
                RandomAccess.FlushToDisk(fresh);
            }

            File.Move(temporary, FilePath, overwrite: true);
        }
        catch
        {
            fresh.Dispose();
            throw;
        }

        // From here on the new file is the journal, even if its name is not forced to the disk yet.
        file?.Dispose();
        file = fresh;
        sequence = records;
        position = JournalFormat.HeaderSize + content.WrittenCount;
        compactAt = position + Math.Max(LeastGrowth, 4L * content.WrittenCount);
        if (forcesToDisk)
        {
            DirectorySync.Flush(directory);
        }
    }

    private static SafeFileHandle OpenNew(string path)
    {
        // The options of File.OpenHandle have no mode: make the file first.
        File.Delete(path);
        using (new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
        }

        return File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.Read);
    }

    private static IEnumerable<IEnumerable<StoreMutation>> Parts(IEnumerable<StoreMutation> mutations)
    {
        var part = new List<StoreMutation>();
        int size = 0;
        foreach (StoreMutation mutation in mutations)
        {
            part.Add(mutation);
            size += mutation is PutNode put ? put.Path.Length + put.Value.Length + 64 : 64;
            if (size >= JournalFormat.CheckpointRecordSize)
            {
                yield return part;
                part = [];
                size = 0;
            }
        }

        if (part.Count > 0)
        {
            yield return part;
        }
    }

    // A change that was refused must not be there after a restart, not even in part.
    private void Withdraw()
    {
        try
        {
            RandomAccess.SetLength(file!, position);
        }
        catch (Exception failure) when (IsRefusal(failure))
        {
            isBroken = true;
            report($"The xenstore journal is given up, all changes are refused: {failure.Message}");
        }
    }
}
