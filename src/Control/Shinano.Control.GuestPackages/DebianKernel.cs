using System.Text;
using SharpCompress.Compressors.Xz;

namespace Shinano.Control.GuestPackages;

/// <summary>A kernel of Debian's, in an unpacked linux-image package: its image and its modules.</summary>
public sealed class DebianKernel
{
    private const int MaximumModuleSize = 64 << 20;

    private readonly Dictionary<string, string> modules;
    private readonly HashSet<string> builtIn;
    private readonly string modulesRoot;

    private DebianKernel(string imagePath, string release, string modulesRoot)
    {
        ImagePath = imagePath;
        Release = release;
        this.modulesRoot = modulesRoot;
        modules = Directory.Exists(modulesRoot)
            ? Directory.EnumerateFiles(modulesRoot, "*.ko*", SearchOption.AllDirectories)
                .Order(StringComparer.Ordinal)
                .GroupBy(ModuleName, StringComparer.Ordinal)
                .ToDictionary(group => group.Key, group => group.First(), StringComparer.Ordinal)
            : [];
        var list = Path.Combine(modulesRoot, "modules.builtin");
        builtIn = File.Exists(list) ? [.. File.ReadLines(list).Select(ModuleName)] : [];
    }

    /// <summary>Absolute path of the bzImage.</summary>
    public string ImagePath { get; }

    /// <summary>What uname -r prints in the guest: "6.1.0-56-amd64".</summary>
    public string Release { get; }

    /// <summary>Looks into an unpacked linux-image package.</summary>
    /// <exception cref="GuestPackageUnavailableException">The package holds no kernel.</exception>
    public static DebianKernel Open(GuestPackage package)
    {
        const string prefix = "vmlinuz-";
        var boot = Path.Combine(package.Directory, "boot");
        var image = Directory.Exists(boot) ? Directory.EnumerateFiles(boot, prefix + "*").Order(StringComparer.Ordinal).FirstOrDefault() : null;
        if (image is null)
        {
            throw new GuestPackageUnavailableException(
                package.Name, $"The package {package.Name} {package.Version} in {package.Directory} holds no boot/vmlinuz-*: it is not a kernel package.");
        }

        var release = Path.GetFileName(image)[prefix.Length..];
        var modulesRoot = new[] { "lib/modules", "usr/lib/modules" }
            .Select(directory => Path.Combine(package.Directory, directory, release))
            .FirstOrDefault(Directory.Exists);
        return new DebianKernel(image, release, modulesRoot ?? Path.Combine(package.Directory, "lib/modules", release));
    }

    /// <summary>
    /// The modules to load for <paramref name="names"/>, each after those it depends on; empty for what is built into the kernel.
    /// </summary>
    /// <exception cref="GuestPackageUnavailableException">A module is neither in the package nor built in.</exception>
    public IReadOnlyList<KernelModule> ResolveModules(params IEnumerable<string> names)
    {
        var ordered = new List<KernelModule>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var name in names)
        {
            Add(ModuleName(name), ordered, seen);
        }

        return ordered;
    }

    private void Add(string name, List<KernelModule> ordered, HashSet<string> seen)
    {
        if (builtIn.Contains(name) || !seen.Add(name))
        {
            return;
        }

        if (!modules.TryGetValue(name, out var path))
        {
            throw new GuestPackageUnavailableException(name, $"The kernel {Release} has no module '{name}' (looked below {modulesRoot}).");
        }

        var content = ReadModule(path);
        foreach (var dependency in Dependencies(content))
        {
            Add(ModuleName(dependency), ordered, seen);
        }

        var relative = Path.GetRelativePath(modulesRoot, path);
        relative = relative[..(relative.LastIndexOf(".ko", StringComparison.Ordinal) + 3)];
        ordered.Add(new KernelModule(name, $"lib/modules/{Release}/{relative}", content));
    }

    /// <summary>The "depends=" string that modpost leaves in the section .modinfo: names separated by commas.</summary>
    private static string[] Dependencies(byte[] module)
    {
        var key = "\0depends="u8;
        var at = module.AsSpan().IndexOf(key);
        if (at < 0)
        {
            return [];
        }

        var value = module.AsSpan(at + key.Length);
        var end = value.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? value : value[..end]).Split(',', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Modules are plain in Debian 12 and xz-compressed in Debian 13; busybox's insmod takes plain ones.</summary>
    private static byte[] ReadModule(string path)
    {
        if (!path.EndsWith(".xz", StringComparison.Ordinal))
        {
            return File.ReadAllBytes(path);
        }

        using var stream = new XZStream(File.OpenRead(path));
        using var plain = new MemoryStream();
        var buffer = new byte[1 << 16];
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            plain.Write(buffer.AsSpan(0, read));
            if (plain.Length > MaximumModuleSize)
            {
                throw new InvalidDataException($"the module {path} is larger than {MaximumModuleSize} bytes");
            }
        }

        return plain.ToArray();
    }

    /// <summary>"kernel/drivers/xen/xen-privcmd.ko.xz" and "xen_privcmd" name the same module.</summary>
    private static string ModuleName(string path)
    {
        var name = Path.GetFileName(path);
        var suffix = name.IndexOf(".ko", StringComparison.Ordinal);
        return (suffix < 0 ? name : name[..suffix]).Replace('-', '_');
    }
}
