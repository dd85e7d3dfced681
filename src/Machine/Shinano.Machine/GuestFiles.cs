using Shinano.Control.Api.Domains;
using Shinano.Hypervisor.Images;

namespace Shinano.Machine;

/// <summary>Reads the files that a domain starts with and says what is wrong with them.</summary>
internal static class GuestFiles
{
    /// <summary>Reads a kernel for a PV domain.</summary>
    /// <exception cref="DomainFailureException">It is missing, unreadable, no kernel, damaged, or has no PV support.</exception>
    public static KernelImage ReadKernel(string path)
    {
        KernelImageResult result = KernelImageReader.ReadPv(ReadAll(path, "kernel", DomainFailureCode.KernelUnreadable));
        if (result.Failure is not { } failure)
        {
            return result.Image!;
        }

        DomainFailureCode code = failure.Error switch
        {
            KernelImageError.NotAKernel or KernelImageError.MalformedElf => DomainFailureCode.NotAKernel,
            KernelImageError.TruncatedBzImage or KernelImageError.CorruptPayload => DomainFailureCode.KernelTruncated,
            KernelImageError.PayloadTooLarge or KernelImageError.UnsupportedCompression => DomainFailureCode.NotSupported,
            _ => DomainFailureCode.NoParavirtualSupport,
        };
        throw new DomainFailureException(code, $"kernel {path}: {failure.Message}");
    }

    /// <summary>Reads a ramdisk, which must be smaller than the domain's memory.</summary>
    /// <exception cref="DomainFailureException">It is missing, unreadable or too large.</exception>
    public static ReadOnlyMemory<byte> ReadRamdisk(string path, long memoryBytes)
    {
        try
        {
            FileInfo file = new(path);
            if (file.Exists && file.Length >= memoryBytes)
            {
                throw new DomainFailureException(
                    DomainFailureCode.RamdiskTooLarge, $"ramdisk {path}: {file.Length >> 20} MiB do not fit into {memoryBytes >> 20} MiB of memory");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.RamdiskUnreadable, $"ramdisk {path}: {e.Message}", e);
        }

        return ReadAll(path, "ramdisk", DomainFailureCode.RamdiskUnreadable);
    }

    /// <summary>One line about a kernel.</summary>
    public static string Describe(KernelImage kernel) =>
        $"{kernel.Notes.GuestOs ?? "unnamed guest"} {kernel.LinuxVersion ?? kernel.Notes.GuestVersion}, virtual base {kernel.VirtualBase:x}, {kernel.Container} {kernel.Compression}"
            .Replace("  ", " ", StringComparison.Ordinal);

    private static byte[] ReadAll(string path, string what, DomainFailureCode code)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string why = e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : e.Message;
            throw new DomainFailureException(code, $"{what} {path}: {why}", e);
        }
    }
}
