using System.Globalization;
using System.Numerics;
using Shinano.Control.Configuration.Consoles;
using Shinano.Control.Configuration.Disks;
using Shinano.Control.Configuration.Displays;
using Shinano.Control.Configuration.Networks;
using Shinano.Control.Configuration.Scheduling;
using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration;

/// <summary>Checks the types and ranges of one configuration's entries.</summary>
internal sealed class ConfigurationBuilder(
    IReadOnlyDictionary<string, ConfigurationEntry> entries, string fileName, DiagnosticList diagnostics)
{
    /// <summary>public/xen.h: XEN_LEGACY_MAX_VCPUS; more needs VCPUOP_register_vcpu_info, which we leave for later.</summary>
    private const int MaximumVcpus = 32;

    /// <summary>16 TiB, in MiB: what a 44-bit frame space of 4 KiB pages leaves far behind, and what an int holds.</summary>
    private const int MaximumMebibytes = 16 << 20;

    /// <summary>MiB that hold what a boot translates, both halves of the cache counted.</summary>
    private const int MinimumCodeCache = 16;

    /// <summary>MiB; jumps inside the cache have 31 bits.</summary>
    private const int MaximumCodeCache = 1024;

    // include/xen/lib.h keeps no limit on the toolstack's side, but start_info.cmd_line has MAX_GUEST_CMDLINE bytes (public/xen.h).
    private const int MaximumCommandLine = 1023;

    private static readonly Dictionary<string, LifecycleAction> Actions = new(StringComparer.Ordinal)
    {
        ["destroy"] = LifecycleAction.Destroy,
        ["restart"] = LifecycleAction.Restart,
        ["rename-restart"] = LifecycleAction.RenameRestart,
        ["preserve"] = LifecycleAction.Preserve,
        ["coredump-destroy"] = LifecycleAction.CoredumpDestroy,
        ["coredump-restart"] = LifecycleAction.CoredumpRestart,
    };

    /// <summary>The configuration; only meaningful when no error was reported.</summary>
    public DomainConfiguration? Build()
    {
        CheckGuestType();
        string? name = ReadName();
        int memory = Integer("memory", 1, MaximumMebibytes, 128);
        int maxMemory = Integer("maxmem", 1, MaximumMebibytes, memory);
        if (maxMemory < memory)
        {
            At("maxmem", $"maxmem={maxMemory} is below memory={memory}");
        }

        (int vcpus, int maxVcpus) = ReadVcpus();
        BootLoader bootLoader = ReadBootLoader();
        DomainConfiguration configuration = new()
        {
            Name = name ?? "",
            Uuid = ReadUuid(),
            MemoryMebibytes = memory,
            MaxMemoryMebibytes = maxMemory,
            Vcpus = vcpus,
            MaxVcpus = maxVcpus,
            CpuWeight = Integer("cpu_weight", 1, DomainConfiguration.MaximumCpuWeight, DomainConfiguration.DefaultCpuWeight),
            CpuCapPercent = ReadCap(maxVcpus),
            VcpuAffinity = entries.TryGetValue("cpus", out ConfigurationEntry? cpus) ? new AffinityReader(cpus, diagnostics).Read(maxVcpus) : [],
            BootLoader = bootLoader,
            Kernel = ReadKernel(bootLoader) ?? "",
            Ramdisk = bootLoader == BootLoader.None && Text("ramdisk") is { Length: > 0 } ramdisk ? ramdisk : null,
            CommandLine = ReadCommandLine(),
            CpuEngine = ReadEngine(),
            CodeCacheMebibytes = ReadCodeCache(),
            Disks = ReadDisks(),
            Vifs = ReadVifs(),
            Channels = entries.TryGetValue("channel", out ConfigurationEntry? channels) ? new ChannelListReader(channels, diagnostics).Read() : [],
            Display = entries.TryGetValue("vfb", out ConfigurationEntry? vfb) ? new DisplayListReader(vfb, diagnostics).Read() : null,
            OnPoweroff = Action("on_poweroff", LifecycleAction.Destroy),
            OnReboot = Action("on_reboot", LifecycleAction.Restart),
            OnCrash = Action("on_crash", LifecycleAction.Destroy),
            OnWatchdog = Action("on_watchdog", LifecycleAction.Destroy),
            Kept = ReadKept(),
        };
        return diagnostics.HasErrors ? null : configuration;
    }

    private (int Vcpus, int MaxVcpus) ReadVcpus()
    {
        int vcpus = Integer("vcpus", 1, MaximumVcpus, 1);
        int maxVcpus = Integer("maxvcpus", 1, MaximumVcpus, vcpus);
        if (maxVcpus < vcpus)
        {
            At("maxvcpus", $"maxvcpus={maxVcpus} is below vcpus={vcpus}");
        }

        // xm's older way: vcpus is how many there are, and the mask has a bit for each that is online at the start.
        if (entries.ContainsKey("vcpu_avail"))
        {
            uint mask = (uint)Integer("vcpu_avail", 1, int.MaxValue, 1);
            int online = BitOperations.TrailingZeroCount(~mask);
            if (mask >> online != 0 || online > vcpus)
            {
                At("vcpu_avail", $"vcpu_avail=0x{mask:x} must be the bits of the first vCPUs, of {vcpus} at most");
                return (vcpus, maxVcpus);
            }

            vcpus = online;
        }

        return (vcpus, maxVcpus);
    }

    /// <summary>xl's name of it, or xm's.</summary>
    private int ReadCap(int maxVcpus)
    {
        if (entries.ContainsKey("cap") && entries.ContainsKey("cpu_cap"))
        {
            Warn("cpu_cap", "cap is given, so cpu_cap is ignored");
        }

        return Integer(entries.ContainsKey("cap") ? "cap" : "cpu_cap", 0, maxVcpus * 100, 0);
    }

    private IReadOnlyList<DiskConfiguration> ReadDisks() =>
        entries.TryGetValue("disk", out ConfigurationEntry? entry) ? new DiskListReader(entry, diagnostics).Read() : [];

    private IReadOnlyList<VifConfiguration> ReadVifs() =>
        entries.TryGetValue("vif", out ConfigurationEntry? entry) ? new VifListReader(entry, diagnostics).Read() : [];

    private string? ReadName()
    {
        if (Text("name") is not { } name)
        {
            Missing("name", "name = \"...\"");
            return null;
        }

        if (DomainName.Check(name) is { } problem)
        {
            At("name", $"name=\"{Shorten(name)}\": {problem}");
        }

        return name;
    }

    private BootLoader ReadBootLoader()
    {
        if (Text("bootloader") is not { Length: > 0 } name)
        {
            return BootLoader.None;
        }

        // Old files have paths: /usr/bin/pygrub, /usr/lib/xen/bin/pygrub. pygrub parsed the guest's disk in domain 0; what takes its place does not.
        if (name[(name.LastIndexOf('/') + 1)..] is not ("pygrub" or "pvgrub" or "pvgrub64" or "grub-x86_64-xen.bin"))
        {
            At("bootloader", $"bootloader=\"{Shorten(name)}\" is not one of pvgrub, pygrub");
        }
        else if (entries.ContainsKey("kernel") && Text("kernel") is { Length: > 0 })
        {
            Warn("bootloader", "kernel is given, so bootloader is ignored");
            return BootLoader.None;
        }
        else if (!entries.ContainsKey("disk"))
        {
            Warn("bootloader", "there is no disk to boot from: GRUB will stop at its prompt");
        }

        if (Text("ramdisk") is { Length: > 0 })
        {
            Warn("ramdisk", "ramdisk is ignored: the guest's boot loader loads the guest's own");
        }

        return BootLoader.PvGrub;
    }

    private string? ReadKernel(BootLoader bootLoader)
    {
        if (bootLoader == BootLoader.PvGrub)
        {
            return "";
        }

        if (Text("kernel") is { Length: > 0 } kernel)
        {
            return kernel;
        }

        Missing("kernel", "kernel = \"/path/to/vmlinuz\", or bootloader = \"pvgrub\" and a disk with a kernel on it");
        return null;
    }

    private void CheckGuestType()
    {
        if (Text("builder") is { } builder && builder is not ("linux" or "generic" or ""))
        {
            At("builder", builder == "hvm"
                ? "builder=\"hvm\" is not supported yet: only paravirtual domains are (builder=\"generic\")"
                : $"builder=\"{Shorten(builder)}\" is not one of generic, linux, hvm");
        }

        if (Text("type") is { } type && type != "pv")
        {
            At("type", type is "hvm" or "pvh"
                ? $"type=\"{type}\" is not supported yet: only type=\"pv\" is"
                : $"type=\"{Shorten(type)}\" is not one of pv, pvh, hvm");
        }
    }

    private Guid? ReadUuid()
    {
        if (Text("uuid") is not { } text)
        {
            return null;
        }

        if (!Guid.TryParseExact(text, "D", out Guid uuid) && !Guid.TryParseExact(text, "N", out uuid))
        {
            At("uuid", $"uuid=\"{Shorten(text)}\" is not a uuid (8-4-4-4-12 hexadecimal digits)");
        }

        return uuid;
    }

    private string? ReadEngine()
    {
        string? engine = Text("cpu_engine");
        if (engine is not (null or "interpreter" or "translator" or "kvm"))
        {
            At("cpu_engine", $"cpu_engine=\"{Shorten(engine)}\" is not one of interpreter, translator, kvm");
        }

        return engine;
    }

    private int? ReadCodeCache()
    {
        if (!entries.ContainsKey("code_cache"))
        {
            return null;
        }

        if (entries.TryGetValue("cpu_engine", out ConfigurationEntry? engine) && engine.Value is StringValue { Text: "interpreter" or "kvm" } chosen)
        {
            Warn("code_cache", $"code_cache does nothing with cpu_engine=\"{chosen.Text}\", which translates no code");
        }

        return Integer("code_cache", MinimumCodeCache, MaximumCodeCache, MinimumCodeCache);
    }

    private string ReadCommandLine()
    {
        string? whole = Text("cmdline");
        string? root = Text("root");
        string? extra = Text("extra");
        if (whole is not null && (root ?? extra) is not null)
        {
            // xl.cfg(5): "root" and "extra" are ignored when "cmdline" is given.
            Warn("cmdline", "cmdline is given, so root and extra are ignored");
        }

        string line = whole ?? string.Join(' ', new[] { root is { Length: > 0 } ? $"root={root}" : "", extra ?? "" }.Where(part => part.Length > 0));
        if (line.Length > MaximumCommandLine)
        {
            At(whole is not null ? "cmdline" : "extra", $"the kernel's command line has {line.Length} characters; {MaximumCommandLine} fit");
        }
        else if (line.Contains('\0', StringComparison.Ordinal))
        {
            At(whole is not null ? "cmdline" : "extra", "the kernel's command line has a NUL character in it");
        }

        return line;
    }

    private Dictionary<string, string> ReadKept()
    {
        Dictionary<string, string> kept = new(StringComparer.Ordinal);
        foreach (ConfigurationEntry entry in entries.Values)
        {
            if (!ConfigurationKeys.NotYet.Contains(entry.Key) || IsEmpty(entry.Value))
            {
                continue;
            }

            kept[entry.Key] = Render(entry.Value);
            diagnostics.Warning(entry.Source, entry.Position, entry.Key, $"'{entry.Key}' is not supported yet: the domain starts without it");
        }

        return kept;
    }

    private LifecycleAction Action(string key, LifecycleAction whenMissing)
    {
        if (Text(key) is not { } text)
        {
            return whenMissing;
        }

        if (!Actions.TryGetValue(text, out LifecycleAction action))
        {
            At(key, $"{key}=\"{Shorten(text)}\" is not one of {string.Join(", ", Actions.Keys)}");
        }

        return action;
    }

    private string? Text(string key)
    {
        if (!entries.TryGetValue(key, out ConfigurationEntry? entry))
        {
            return null;
        }

        switch (entry.Value)
        {
            case StringValue text:
                if (text.Text.Contains('\0', StringComparison.Ordinal))
                {
                    At(key, $"{key} has a NUL character in it");
                }

                return text.Text;

            // extra=3 on a command line: the user meant the text.
            case NumberValue number when entry.Source == ConfigurationText.CommandLine:
                return number.Number.ToString(CultureInfo.InvariantCulture);

            default:
                At(key, $"{key} must be a string in quotes, not {entry.Value.Kind}");
                return null;
        }
    }

    private int Integer(string key, int minimum, int maximum, int whenMissing)
    {
        if (!entries.TryGetValue(key, out ConfigurationEntry? entry))
        {
            return whenMissing;
        }

        long number;
        switch (entry.Value)
        {
            case NumberValue value:
                number = value.Number;
                break;

            // xm's files often quote numbers (memory = "512"), and xl takes them (xlu_cfg_get_long without dont_warn).
            case StringValue text when ConfigGrammar.ParseValue(text.Text).Value is NumberValue value:
                number = value.Number;
                break;

            case StringValue text:
                At(key, $"{key}=\"{Shorten(text.Text)}\" is not a number");
                return whenMissing;

            default:
                At(key, $"{key} must be a number, not {entry.Value.Kind}");
                return whenMissing;
        }

        if (number < minimum || number > maximum)
        {
            At(key, $"{key}={number} is out of range: {minimum} to {maximum}");
            return whenMissing;
        }

        return (int)number;
    }

    private void At(string key, string message)
    {
        ConfigurationEntry? entry = entries.GetValueOrDefault(key);
        diagnostics.Error(entry?.Source ?? fileName, entry?.Position, key, message);
    }

    private void Warn(string key, string message)
    {
        ConfigurationEntry entry = entries[key];
        diagnostics.Warning(entry.Source, entry.Position, key, message);
    }

    private void Missing(string key, string right) => diagnostics.Error(fileName, null, key, $"'{key}' is missing: {right}");

    private static bool IsEmpty(ConfigValue value) => value switch
    {
        StringValue text => text.Text.Length == 0 || text.Text is "0" or "none",
        NumberValue number => number.Number == 0,
        ListValue list => list.Items.Count == 0,
        _ => false,
    };

    private static string Render(ConfigValue value) => value switch
    {
        StringValue text => text.Text,
        NumberValue number => number.Number.ToString(CultureInfo.InvariantCulture),
        ListValue list => $"[{string.Join(", ", list.Items.Select(Render))}]",
        _ => "",
    };

    private static string Shorten(string text)
    {
        string cut = text.Length > 60 ? text[..57] + "..." : text;
        return string.Create(cut.Length, cut, (span, source) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                span[i] = char.IsControl(source[i]) ? '?' : source[i];
            }
        });
    }
}
