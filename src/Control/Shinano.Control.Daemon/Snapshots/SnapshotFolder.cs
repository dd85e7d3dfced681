using Shinano.Control.Api.Domains;
using Shinano.Linux;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary>The files of one domain's snapshots: <c>STATE/snapshots/UUID</c>. See docs/formats/domain-snapshot.md.</summary>
internal sealed class SnapshotFolder(string path, Guid uuid)
{
    private const string Whole = ".snapshot";
    private const string Partial = ".partial";
    private const string Memory = ".save";
    private const int MostBytes = SealedRecord.MaximumContent + 64;

    public Guid Uuid { get; } = uuid;

    /// <summary>Names of the snapshots, damaged ones too.</summary>
    public IReadOnlyList<string> Names => NamesOf(Whole);

    /// <summary>Names of those of which only a part is there: begun, or half deleted.</summary>
    public IReadOnlyList<string> Partials => NamesOf(Partial);

    /// <summary>The file with a snapshot's memory.</summary>
    public string MemoryOf(string name) => FileOf(name, Memory);

    public bool Has(string name) => File.Exists(FileOf(name, Whole)) || File.Exists(FileOf(name, Partial)) || File.Exists(MemoryOf(name));

    /// <exception cref="DomainFailureException">There is none, or it cannot be read.</exception>
    public SnapshotDescription Read(string name) => Read(name, Whole);

    /// <summary>The record of one of <see cref="Partials"/>.</summary>
    /// <exception cref="DomainFailureException">It cannot be read.</exception>
    public SnapshotDescription ReadPartial(string name) => Read(name, Partial);

    /// <summary>Says durably that a snapshot is begun: from here until <see cref="Commit"/> its parts are to be removed by whoever finds them.</summary>
    public void Begin(SnapshotDescription description)
    {
        ShinanoPaths.EnsureDirectory(path);
        Write(FileOf(description.Name, Partial), description.ToBytes());
    }

    /// <summary>Says durably that all parts of a snapshot are there.</summary>
    public void Commit(SnapshotDescription description)
    {
        Write(FileOf(description.Name, Partial), description.ToBytes());
        Move(description.Name, Partial, Whole);
    }

    /// <summary>Changes the record of a snapshot.</summary>
    public void Change(SnapshotDescription description) => Write(FileOf(description.Name, Whole), description.ToBytes());

    /// <summary>Takes a snapshot out of the list, durably: its parts are to be removed by whoever finds them.</summary>
    public void Retract(string name) => Move(name, Whole, Partial);

    /// <summary>Removes record and memory of a snapshot whose other parts are nobody's business.</summary>
    /// <exception cref="DomainFailureException">There is none.</exception>
    public void Forget(string name)
    {
        if (SnapshotName.Check(name) is not null || !File.Exists(FileOf(name, Whole)))
        {
            throw Missing(name, null);
        }

        File.Delete(FileOf(name, Whole));
        Remove(name);
    }

    /// <summary>Removes memory that is no snapshot's any more.</summary>
    public void RemoveStrayMemory()
    {
        HashSet<string> known = [.. Names, .. Partials];
        foreach (string name in NamesOf(Memory).Where(name => !known.Contains(name)))
        {
            File.Delete(MemoryOf(name));
        }
    }

    /// <summary>Removes the memory and the record of one of <see cref="Partials"/>, the record last; and the directory with its last snapshot.</summary>
    public void Remove(string name)
    {
        File.Delete(MemoryOf(name));
        File.Delete(FileOf(name, Partial));
        if (Names.Count == 0 && Partials.Count == 0)
        {
            File.Delete(PositionFile);
            Directory.Delete(path, recursive: false);
        }
    }

    /// <summary>Where the domain stands among its snapshots; nowhere when nothing can be read.</summary>
    public SnapshotPosition ReadPosition()
    {
        try
        {
            return SnapshotPosition.Read(ReadBytes(PositionFile));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SavedStateException)
        {
            return new SnapshotPosition();
        }
    }

    public void WritePosition(SnapshotPosition position) => Write(PositionFile, position.ToBytes());

    private string PositionFile => Path.Combine(path, "position");

    private static byte[] ReadBytes(string file)
    {
        using FileStream input = new(file, FileMode.Open, FileAccess.Read, FileShare.Read);
        byte[] bytes = new byte[(int)Math.Min(input.Length, MostBytes)];
        return bytes[..input.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)];
    }

    private static void Write(string file, byte[] content)
    {
        using WholeFile output = WholeFile.Create(file);
        output.Stream.Write(content);
        output.Publish();
    }

    private static DomainFailureException Missing(string name, Exception? inner) =>
        new(DomainFailureCode.NoSuchSnapshot, $"the domain has no snapshot '{name}': xm snapshot-list", inner);

    private SnapshotDescription Read(string name, string kind)
    {
        if (SnapshotName.Check(name) is not null)
        {
            throw Missing(name, null);
        }

        string file = FileOf(name, kind);
        try
        {
            SnapshotDescription description = SnapshotDescription.Read(ReadBytes(file));
            StateReader.Demand(description.Name == name && description.Uuid == Uuid, $"it is '{description.Name}' of the domain {description.Uuid:D}");
            return description;
        }
        catch (SavedStateException e)
        {
            throw SnapshotFailure.Of(e, file);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Missing(name, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{file}: cannot be read: {e.Message}", e);
        }
    }

    private void Move(string name, string from, string to)
    {
        File.Move(FileOf(name, from), FileOf(name, to));
        DirectorySync.Flush(path);
    }

    private string FileOf(string name, string kind) => Path.Combine(path, name + kind);

    private IReadOnlyList<string> NamesOf(string kind) => Directory.Exists(path)
        ? [.. Directory.EnumerateFiles(path, "*" + kind).Select(file => Path.GetFileName(file)[..^kind.Length]).Where(name => SnapshotName.Check(name) is null).Order(StringComparer.Ordinal)]
        : [];
}
