using System.Collections.Frozen;

namespace Shinano.Control.Configuration;

/// <summary>Every key that xl.cfg(5) of Xen 4.17 or the older xm knew, and what we do with it.</summary>
internal static class ConfigurationKeys
{
    public static readonly FrozenSet<string> Supported = FrozenSet.ToFrozenSet(
    [
        "name", "uuid", "memory", "maxmem", "vcpus", "maxvcpus", "kernel", "ramdisk", "extra", "root", "cmdline", "cpu_engine", "code_cache",
        "on_poweroff", "on_reboot", "on_crash", "on_watchdog", "builder", "type", "disk", "vif", "vfb", "channel", "bootloader", "cpus",
        "cpu_weight", "cap", "cpu_cap", "vcpu_avail",
    ], StringComparer.Ordinal);

    /// <summary>Meaningful, kept, and without effect for now: worth a word when they are used.</summary>
    public static readonly FrozenSet<string> NotYet = FrozenSet.ToFrozenSet(
    [
        "vtpm", "p9", "pvcalls", "pci", "usbctrl", "usbdev", "usb", "usbdevice", "vkb", "vdispl", "vsnd", "irqs",
        "ioports", "iomem", "dtdev", "bootloader_args", "boot", "cpus_soft", "pool", "cpuid", "nodes",
        "on_soft_reset", "seclabel", "init_seclabel", "device_model", "device_model_version", "device_model_override", "device_model_args",
        "device_model_args_pv", "device_model_args_hvm", "firmware", "bios", "bios_path_override", "vnc", "vnclisten", "vncpasswd", "vncdisplay",
        "vncunused", "sdl", "opengl", "spice", "serial", "parallel", "keymap", "monitor", "soundhw", "videoram", "vga", "stdvga", "gfx_passthru",
        "acpi", "apic", "pae", "hap", "nx", "hpet", "viridian", "altp2m", "nestedhvm", "shadow_memory", "localtime", "rtc_timeoffset", "tsc_mode",
        "timer_mode", "vpt_align", "driver_domain", "nomigrate", "claim_mode", "event_channels", "max_grant_frames", "max_maptrack_frames",
        "max_grant_version", "passthrough", "rdm", "rdm_mem_boundary", "e820_host", "pvshim", "pvshim_path", "pvshim_cmdline", "pvshim_extra",
        "xen_platform_pci", "xend_suspend_evtchn_compat", "vnuma", "smbios_firmware", "acpi_firmware", "acpi_table", "acpi_s3", "acpi_s4",
        "acpi_laptop_slate", "ms_vm_genid", "mca_caps", "vmtrace_buf_kb", "vpmu", "nographic", "dm_restrict", "device_tree", "gic_version",
        "vuart", "hdtype", "stubdomain_memory", "stubdomain_kernel", "stubdomain_ramdisk", "stubdomain_cmdline", "console", "xenstore_quota",
    ], StringComparer.Ordinal);

    /// <summary>Keys of the older xm that have a successor, or none.</summary>
    public static readonly FrozenDictionary<string, string> Obsolete = new Dictionary<string, string>
    {
        ["cpu"] = "'cpus' took its place",
        ["restart"] = "use 'on_poweroff', 'on_reboot' and 'on_crash' instead",
        ["nics"] = "one 'vif' entry per interface took its place",
        ["ip"] = "put ip=... into 'extra'",
        ["netmask"] = "put ip=... into 'extra'",
        ["gateway"] = "put ip=... into 'extra'",
        ["hostname"] = "put ip=... into 'extra'",
        ["dhcp"] = "put ip=dhcp into 'extra'",
        ["nfs_root"] = "put nfsroot=... into 'extra'",
        ["nfs_server"] = "put nfsroot=... into 'extra'",
        ["features"] = "a kernel's features come from its ELF notes",
        ["kernel_args"] = "'extra' took its place",
        ["on_xend_start"] = "nothing took its place yet",
        ["on_xend_stop"] = "domains go on when xend stops",
        ["blkif"] = "driver domains have nothing to do with it any more",
        ["netif"] = "driver domains have nothing to do with it any more",
        ["tpmif"] = "driver domains have nothing to do with it any more",
        ["ramdisk_size"] = "put ramdisk_size=... into 'extra'",
        ["xauthority"] = "nothing took its place",
        ["display"] = "nothing took its place",
        ["vncviewer"] = "nothing took its place",
        ["vncconsole"] = "nothing took its place",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    public static IEnumerable<string> All => Supported.Concat(NotYet);

    /// <summary>The known key that a typing mistake most likely meant, or null when none is near.</summary>
    public static string? Nearest(string key)
    {
        string lower = key.ToLowerInvariant();
        int limit = Math.Max(1, lower.Length / 3);
        (string Key, int Distance) best = All
            .Select(known => (Key: known, Distance: Distance(lower, known)))
            .OrderBy(candidate => candidate.Distance)
            // A supported key is the better guess than one that does nothing yet.
            .ThenBy(candidate => Supported.Contains(candidate.Key) ? 0 : 1)
            .ThenBy(candidate => candidate.Key, StringComparer.Ordinal)
            .First();
        return best.Distance <= limit ? best.Key : null;
    }

    /// <summary>Edit distance with neighbouring letters swapped counted once (optimal string alignment).</summary>
    private static int Distance(string a, string b)
    {
        // Keys are short; a long unknown "key" is cut so that hostile text costs no quadratic time.
        if (a.Length > 64)
        {
            return int.MaxValue;
        }

        int[,] d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            d[i, 0] = i;
        }

        for (int j = 0; j <= b.Length; j++)
        {
            d[0, j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
                }
            }
        }

        return d[a.Length, b.Length];
    }
}
