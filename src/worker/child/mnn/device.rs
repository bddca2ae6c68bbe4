//! The device that a backend would get, asked of the driver itself: MNN takes the first device.

use crate::engine::Backend;
use crate::worker::wire::protocol::DriverDevice;

/// The device that MNN's session on a backend runs on, or the reason why there is none.
pub(super) fn of(backend: Backend) -> Result<DriverDevice, String> {
    match backend {
        Backend::Cpu => Ok(DriverDevice { name: processor(), driver: String::new() }),
        #[cfg(feature = "vulkan")]
        Backend::Vulkan => vulkan(),
        #[cfg(feature = "opencl")]
        Backend::Opencl => opencl().or_else(opencl_of_mnn),
        #[cfg(feature = "opengl")]
        Backend::Opengl => opengl(),
        Backend::Cuda => super::library::cuda_device(),
        #[allow(unreachable_patterns, reason = "a build with every backend has no other")]
        other => Err(format!("this build has no {other}")),
    }
}

/// The device of OpenGL ES. Also opens its libraries, without which MNN's backend must not be called.
#[cfg(feature = "opengl")]
fn opengl() -> Result<DriverDevice, String> {
    let (name, driver, why) = super::library::describe_into(|device, driver, size| {
        // SAFETY: both buffers have the size that is given, and the function ends its texts with a zero.
        unsafe { super::bindings::offby_gl_device(device, driver, size) }
    });
    match why {
        Some(why) => Err(format!("no OpenGL ES: {why}")),
        None => Ok(DriverDevice { name, driver }),
    }
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line =
        info.lines().find(|line| line.starts_with("model name") || line.starts_with("Hardware"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<DriverDevice, String> {
    use ash::vk;
    // SAFETY: loading the system's Vulkan loader runs its initialisers, as MNN does right after.
    let entry =
        unsafe { ash::Entry::load() }.map_err(|error| format!("no Vulkan loader: {error}"))?;
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
    let create = vk::InstanceCreateInfo::default().application_info(&application);
    // SAFETY: the create info and what it points to live through the call.
    let instance = unsafe { entry.create_instance(&create, None) }
        .map_err(|error| format!("no Vulkan instance: {error}"))?;
    // SAFETY: the instance is live until it is destroyed below, the last use of it.
    let found = unsafe { instance.enumerate_physical_devices() }
        .map_err(|error| format!("no Vulkan device: {error}"))
        .and_then(|devices| devices.first().copied().ok_or_else(|| "no Vulkan device".to_owned()))
        .map(|device| describe_vulkan(&instance, device));
    // SAFETY: no object made from the instance is used after this.
    unsafe { instance.destroy_instance(None) };
    found
}

#[cfg(feature = "vulkan")]
fn describe_vulkan(instance: &ash::Instance, device: ash::vk::PhysicalDevice) -> DriverDevice {
    use ash::vk;
    let words = |raw: Result<&std::ffi::CStr, _>| {
        raw.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    // A kernel that forgets a barrier computes correctly within one subgroup, so a finding needs the subgroup size.
    let mut subgroup = vk::PhysicalDeviceSubgroupProperties::default();
    let mut properties =
        vk::PhysicalDeviceProperties2::default().push_next(&mut driver).push_next(&mut subgroup);
    // SAFETY: the device belongs to the live instance; the chain's structures live through the call.
    unsafe { instance.get_physical_device_properties2(device, &mut properties) };
    let name = words(properties.properties.device_name_as_c_str());
    let driver = format!(
        "{} {}, subgroups of {}",
        words(driver.driver_name_as_c_str()),
        words(driver.driver_info_as_c_str()),
        subgroup.subgroup_size
    );
    DriverDevice { name, driver: driver.trim().to_owned() }
}

/// MNN looks for OpenCL's library in more places than the loader. Once MNN has opened it, the loader may know the device.
#[cfg(feature = "opencl")]
fn opencl_of_mnn(why: String) -> Result<DriverDevice, String> {
    let forward_type = super::session::forward_type(Backend::Opencl);
    // SAFETY: the function only creates and destroys a runtime of MNN.
    if unsafe { super::bindings::offby_has_runtime(forward_type) } == 0 {
        return Err(why);
    }
    let unnamed =
        DriverDevice { name: format!("a device without a name ({why})"), driver: String::new() };
    Ok(opencl().unwrap_or(unnamed))
}

#[cfg(feature = "opencl")]
fn opencl() -> Result<DriverDevice, String> {
    use cl3::device::{
        CL_DEVICE_NAME, CL_DEVICE_TYPE_GPU, CL_DEVICE_VERSION, CL_DRIVER_VERSION, get_device_ids,
        get_device_info,
    };
    let platforms = cl3::platform::get_platform_ids()
        .map_err(|code| format!("no OpenCL platform (error {code})"))?;
    let first = platforms.first().copied().ok_or_else(|| "no OpenCL platform".to_owned())?;
    let device_of = |platform| get_device_ids(platform, CL_DEVICE_TYPE_GPU).ok()?.first().copied();
    let device = device_of(first).ok_or_else(|| {
        let with_gpu = platforms.iter().copied().find(|&platform| device_of(platform).is_some());
        let first = platform_name(first);
        let why = format!("the first OpenCL platform, {first}, has no device of type GPU");
        match with_gpu {
            Some(other) => format!(
                "{why}; {} has one: MNN takes the first platform, and OCL_ICD_FILENAMES and OCL_ICD_VENDORS say which that is",
                platform_name(other)
            ),
            None => why,
        }
    })?;
    let ask = |what| plain(get_device_info(device, what).map(|info| info.to_string()));
    let driver = format!("{}, {}", ask(CL_DEVICE_VERSION), ask(CL_DRIVER_VERSION));
    Ok(DriverDevice { name: ask(CL_DEVICE_NAME), driver })
}

#[cfg(feature = "opencl")]
fn platform_name(platform: cl3::types::cl_platform_id) -> String {
    use cl3::platform::{CL_PLATFORM_NAME, get_platform_info};
    plain(get_platform_info(platform, CL_PLATFORM_NAME).map(|info| info.to_string()))
}

/// OpenCL returns a C string with its terminating zero.
#[cfg(feature = "opencl")]
fn plain<E>(told: Result<String, E>) -> String {
    told.unwrap_or_default().trim_matches(['\0', ' ']).to_owned()
}
