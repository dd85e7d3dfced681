using System.Text.Json;

namespace Shinano.Control.Api.Domains;

/// <summary>Reads and writes the files that pass between xend and a domain process.</summary>
public static class DomainSpecFile
{
    /// <summary>Reads a spec. Throws <see cref="InvalidDataException"/> naming the file for anything that is not one.</summary>
    public static DomainSpec Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<DomainSpec>(File.ReadAllBytes(path), ControlJson.Options)
                ?? throw new InvalidDataException($"{path}: empty domain specification");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: not a domain specification: {e.Message}", e);
        }
    }

    public static void Write(string path, DomainSpec spec) => WriteAtomically(path, spec);

    /// <summary>Leaves the reason of an early end at <see cref="DomainSpec.FailurePath"/>.</summary>
    public static void WriteFailure(string path, DomainFailure failure) => WriteAtomically(path, failure);

    /// <summary>The failure left at <paramref name="path"/>, or null when there is none that can be read.</summary>
    public static DomainFailure? ReadFailure(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<DomainFailure>(File.ReadAllBytes(path), ControlJson.Options);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static void WriteAtomically<T>(string path, T value)
    {
        string temporary = path + ".new";
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(value, ControlJson.Options));
        File.Move(temporary, path, overwrite: true);
    }
}
