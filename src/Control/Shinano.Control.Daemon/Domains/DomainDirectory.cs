using System.Globalization;
using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>
/// A domain's directory below the run directory: <c>domains/N/{spec.json,record.json,failure.json,control,console,console.N,vnc,state}</c>.
/// </summary>
internal sealed class DomainDirectory(ShinanoPaths paths, int domainId)
{
    public string Path { get; } = System.IO.Path.Combine(paths.DomainsRunDirectory, domainId.ToString(CultureInfo.InvariantCulture));

    public string Spec => System.IO.Path.Combine(Path, "spec.json");

    public string Failure => System.IO.Path.Combine(Path, "failure.json");

    public string ControlSocket => System.IO.Path.Combine(Path, "control");

    public string ConsoleSocket => System.IO.Path.Combine(Path, "console");

    /// <summary>Socket of a further console.</summary>
    public string ChannelSocket(int number) => System.IO.Path.Combine(Path, string.Create(CultureInfo.InvariantCulture, $"console.{number}"));

    public string VncSocket => System.IO.Path.Combine(Path, "vnc");

    /// <summary>Where a domain's state goes between xend and the domain process while it is migrated.</summary>
    public string StateSocket => System.IO.Path.Combine(Path, "state");

    private string Record => System.IO.Path.Combine(Path, "record.json");

    /// <summary>The ids that have a directory.</summary>
    public static IReadOnlyList<int> Existing(ShinanoPaths paths) =>
        Directory.Exists(paths.DomainsRunDirectory)
            ?
            [
                .. Directory.EnumerateDirectories(paths.DomainsRunDirectory)
                    .Select(directory => int.TryParse(
                        System.IO.Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : -1)
                    .Where(id => id > 0)
                    .Order(),
            ]
            : [];

    public void Create()
    {
        ShinanoPaths.CheckSocketPath(ControlSocket);
        ShinanoPaths.CheckSocketPath(ConsoleSocket);
        ShinanoPaths.EnsureDirectory(Path);
    }

    public void Delete()
    {
        if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    /// <param name="durably">It is on the disk when this returns.</param>
    public void WriteRecord(DomainRecord record, bool durably = false)
    {
        // Renamed into place: a killed xend leaves the old record or the new one.
        string temporary = Record + ".new";
        using (FileStream file = new(temporary, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
        {
            file.Write(JsonSerializer.SerializeToUtf8Bytes(record, ControlJson.Options));
            if (durably)
            {
                file.Flush(flushToDisk: true);
            }
        }

        File.Move(temporary, Record, overwrite: true);
        if (durably)
        {
            DirectorySync.Flush(Path);
        }
    }

    /// <summary>The record, or null when there is none that can be read.</summary>
    public DomainRecord? ReadRecord()
    {
        try
        {
            return JsonSerializer.Deserialize<DomainRecord>(File.ReadAllBytes(Record), ControlJson.Options);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
